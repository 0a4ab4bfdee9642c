//! An address that takes no connection and refuses none, as a host does whose network drops packets.
//! Never answers: a caller learns nothing but that time passes.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// A listener that nobody accepts from, whose queue is full. Gone when dropped.
#[derive(Debug)]
pub struct BlackHole {
    address: SocketAddr,
    _listener: TcpListener,
    _queued: Vec<TcpStream>,
}

impl BlackHole {
    /// Connections that the kernel may keep for a listener which asks for a queue of one.
    const MOST_QUEUED: usize = 8;
    /// A connection on the loopback interface that takes longer than this is not made.
    const UNANSWERED: Duration = Duration::from_millis(300);

    /// Opens one on the loopback interface.
    pub async fn open() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut queued = Vec::new();
        while let Ok(connected) = tokio::time::timeout(Self::UNANSWERED, TcpStream::connect(address)).await {
            queued.push(connected.unwrap());
            assert!(queued.len() < Self::MOST_QUEUED, "the kernel goes on taking connections");
        }
        Self { address, _listener: listener, _queued: queued }
    }

    /// Its base address, as models are configured with.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }
}
