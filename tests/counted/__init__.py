"""Speed and memory by what can be counted: modules, calls, writes, bytes held. Nothing here looks at a clock."""
