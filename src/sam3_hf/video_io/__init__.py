"""Videos in and out: frames read one by one; results as JSON lines, prediction files and overlay videos."""
