//! WebSocket Transport, on tokio-tungstenite.
