"""What an update of a stack finds: open jobs as an earlier version left them."""
