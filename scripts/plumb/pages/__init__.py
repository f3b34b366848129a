"""Text of the pages under results/."""
