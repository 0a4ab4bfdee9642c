//! A load balancer before several replicas: each connection goes to the next one in turn.
//! Never looks at what passes through it, and keeps no client with a replica.

use std::net::Ipv4Addr;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// A running balancer. Dropping it closes every connection.
#[derive(Debug)]
pub struct RoundRobin {
    url: String,
    passing: JoinHandle<()>,
}

impl RoundRobin {
    /// Balances over servers at these addresses, `http://HOST:PORT`.
    pub async fn over(servers: &[&str]) -> Self {
        let behind = servers.iter().map(|url| url.strip_prefix("http://").unwrap().to_owned()).collect();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        Self { url, passing: tokio::spawn(pass(listener, behind)) }
    }

    /// Its address, `http://...`.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for RoundRobin {
    fn drop(&mut self) {
        self.passing.abort();
    }
}

async fn pass(listener: TcpListener, behind: Vec<String>) {
    // Dropping the set ends every connection.
    let mut connections = JoinSet::new();
    for address in behind.iter().cycle() {
        let (mut client, _) = listener.accept().await.unwrap();
        let address = address.clone();
        connections.spawn(async move {
            let mut server = TcpStream::connect(address).await.unwrap();
            // Ends with an error when either side breaks off, as clients may.
            let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        });
        while connections.try_join_next().is_some() {}
    }
}
