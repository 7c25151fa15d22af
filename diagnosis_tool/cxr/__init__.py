"""The chest X-ray core: pure code that knows no web, database or DICOM. Importing it loads nothing."""
