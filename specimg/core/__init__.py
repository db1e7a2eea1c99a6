"""What every other room uses and nothing else: values, atomic files, text of messages, warnings, progress bars, parallel work, figures.

Helpers are imported from their module: `from specimg.core.values import Value, register`.
"""
