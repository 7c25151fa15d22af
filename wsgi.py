"""For any WSGI server: gunicorn wsgi:app. `diagnosis-tool serve` runs the same app with its worker."""

from diagnosis_tool.app import create_app
from diagnosis_tool.settings import Settings

app = create_app(Settings.from_env())
