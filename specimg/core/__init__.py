"""What every room stands on and nothing else: values that travel, files that appear whole, text, warnings, progress, parallel work."""
