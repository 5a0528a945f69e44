"""The heartbeat: watch what is at the API, settle what is doubtful, repair what is stuck, admit what waits."""
