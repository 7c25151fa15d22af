"""For any WSGI server: gunicorn wsgi:app. `diagnosis-tool serve` runs the same app with its worker."""

from diagnosis_tool.app import from_env

app = from_env()
