"""What processes of one machine owe each other: locks, work shared out, and an end with the parent."""
