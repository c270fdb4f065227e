"""HTTP: connections, requests, responses, and every route but the WebSocket's."""
