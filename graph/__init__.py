"""GraphQL over HTTP and WebSocket: the layer that clients see."""
