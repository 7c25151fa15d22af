"""Commands of `diagnosis-tool`, a module a group: add(commands) registers them with their options."""
