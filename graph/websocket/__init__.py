"""GraphQL over WebSocket: sessions, operations, and the delivery of results."""
