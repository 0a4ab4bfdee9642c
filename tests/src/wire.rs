//! A wire between Lectern and a dependency that a test can cut, hold, or lead to something else.
//! Never looks at what passes through it, and keeps its port from beginning to end.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Connections that the kernel takes for a wire.
const BACKLOG: u32 = 256;

/// What a wire leads to.
#[derive(Debug, Clone)]
pub enum End {
    /// A port.
    Tcp(SocketAddr),
    /// A socket in the file system.
    Unix(PathBuf),
}

impl End {
    /// The host and port of an URL.
    pub fn of(url: &str) -> Self {
        let url = url::Url::parse(url).unwrap();
        let addresses = url.socket_addrs(|| None).unwrap();
        Self::Tcp(addresses[0])
    }
}

/// A wire. Dropping it cuts it.
#[derive(Debug)]
pub struct Wire {
    address: SocketAddr,
    held: watch::Sender<bool>,
    passing: Option<JoinHandle<()>>,
    /// Bound and not listening: connections are refused, and nobody else is given the port, while the wire is cut.
    _port: TcpSocket,
}

impl Wire {
    /// A wire to `end`, on a free port.
    pub fn to(end: End) -> Self {
        let port = bound((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = port.local_addr().unwrap();
        let mut wire = Self { address, held: watch::Sender::new(false), passing: None, _port: port };
        wire.listen(end);
        wire
    }

    /// Where it begins.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts all connections; new ones are refused.
    pub async fn cut(&mut self) {
        if let Some(passing) = self.passing.take() {
            passing.abort();
            let _ = passing.await;
        }
    }

    /// Connections are taken, and nothing passes.
    pub fn hold(&self) {
        self.held.send_replace(true);
    }

    /// Cuts all connections and leads new ones elsewhere.
    pub async fn lead_to(&mut self, end: End) {
        self.cut().await;
        self.listen(end);
    }

    fn listen(&mut self, end: End) {
        let listener = bound(self.address).unwrap().listen(BACKLOG).unwrap();
        self.passing = Some(tokio::spawn(pass(listener, end, self.held.subscribe())));
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if let Some(passing) = &self.passing {
            passing.abort();
        }
    }
}

fn bound(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket)
}

async fn pass(listener: TcpListener, end: End, held: watch::Receiver<bool>) {
    // Dropping the set ends every connection.
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        connections.spawn(carry(client, end.clone(), held.clone()));
    }
}

async fn carry(client: TcpStream, end: End, mut held: watch::Receiver<bool>) -> io::Result<()> {
    client.set_nodelay(true)?;
    let _ = held.wait_for(|held| !held).await;
    match end {
        End::Tcp(address) => {
            let server = TcpStream::connect(address).await?;
            server.set_nodelay(true)?;
            both_ways(client, server, held).await
        }
        End::Unix(path) => both_ways(client, UnixStream::connect(path).await?, held).await,
    }
}

/// Ends with an error when either side breaks off: that is what it is for.
async fn both_ways(
    client: impl AsyncRead + AsyncWrite,
    server: impl AsyncRead + AsyncWrite,
    held: watch::Receiver<bool>,
) -> io::Result<()> {
    let (from_client, to_client) = tokio::io::split(client);
    let (from_server, to_server) = tokio::io::split(server);
    let there = one_way(from_client, to_server, held.clone());
    let back = one_way(from_server, to_client, held);
    futures::future::try_join(there, back).await.map(drop)
}

async fn one_way(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut held: watch::Receiver<bool>,
) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        let _ = held.wait_for(|held| !held).await;
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..read]).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    async fn answer_of(address: SocketAddr) -> io::Result<u8> {
        TcpStream::connect(address).await?.read_u8().await
    }

    /// Says one number to everyone who connects.
    fn saying(number: u8) -> End {
        let socket = bound((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = socket.local_addr().unwrap();
        let listener = socket.listen(BACKLOG).unwrap();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                client.write_u8(number).await.unwrap();
            }
        });
        End::Tcp(address)
    }

    #[tokio::test]
    async fn a_wire_is_cut_held_and_led_elsewhere() {
        let mut wire = Wire::to(saying(1));
        assert_eq!(answer_of(wire.address()).await.unwrap(), 1);
        wire.cut().await;
        assert_eq!(answer_of(wire.address()).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        wire.lead_to(saying(2)).await;
        assert_eq!(answer_of(wire.address()).await.unwrap(), 2);
        wire.hold();
        let held = tokio::time::timeout(Duration::from_millis(100), answer_of(wire.address())).await;
        assert!(held.is_err(), "{held:?}");
    }
}
