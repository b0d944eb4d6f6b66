"""What is sent to the Hub, and what is put where its clients look."""
