"""What can be read: the GraphQL types of the records and their parts, each field with its source in the read models."""
