"""What is handed to an auditor: a customer's bundle, which proves itself, and a customer's story, to be filed."""
