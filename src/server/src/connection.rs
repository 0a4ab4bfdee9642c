//! The connection that a request came on, beside the HTTP that is spoken on it: whether the client is still there, and the
//! means to hang up on one that does not read.
//! Never reads from it and never writes to it.

use std::any::Any;
use std::io;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use lectern_resilience::deadline::Deadline;
use socket2::SockRef;
use tokio::io::Interest;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A second handle of a connection's socket. actix-web runs a plain handler to its end when the client has left, and
/// leaves a stream open as long as its client does not read: this handle is how the server notices the one and ends the
/// other.
#[derive(Debug, Clone)]
pub struct Connection {
    socket: Arc<TcpStream>,
}

impl Connection {
    /// Puts the handle of a new connection where its requests find it.
    pub fn remember(io: &dyn Any, data: &mut Extensions) {
        let socket = io.downcast_ref::<TcpStream>().map(|stream| stream.as_fd().try_clone_to_owned());
        match socket.map(|socket| TcpStream::from_std(socket?.into())) {
            Some(Ok(socket)) => {
                data.insert(Self { socket: Arc::new(socket) });
            }
            // The system is out of file descriptors: the request is served, unwatched.
            Some(Err(error)) => tracing::warn!(%error, "connection not watched"),
            None => {}
        }
    }

    /// What `work` gives, or none when the client closed the connection first; then the work is dropped.
    pub async fn while_open<F: Future>(request: &HttpRequest, work: F) -> Option<F::Output> {
        let Some(connection) = request.conn_data::<Self>() else { return Some(work.await) };
        tokio::select! {
            biased;
            output = work => Some(output),
            () = connection.clone().closed() => None,
        }
    }

    /// Resolves when the client has closed the connection, or its sending half: what it asked is not waited for any more.
    /// Safe to cancel. Does not resolve while the system refuses to watch the socket.
    pub async fn closed(self) {
        if let Err(error) = self.watch().await {
            tracing::warn!(%error, "connection not watched");
            std::future::pending::<()>().await;
        }
    }

    /// Ends the connection at `deadline`, in both directions, unless the guard is dropped before.
    pub fn hang_up_at(&self, deadline: Deadline) -> DropGuard {
        let (connection, answered) = (self.clone(), CancellationToken::new());
        let guard = answered.clone().drop_guard();
        actix_web::rt::spawn(async move {
            let late = tokio::time::sleep_until(deadline.instant().into());
            if answered.run_until_cancelled(late).await.is_some() {
                tracing::info!("slow reader hung up on");
                // It fails only when the connection has ended already.
                let _ = SockRef::from(&*connection.socket).shutdown(Shutdown::Both);
            }
        });
        guard
    }

    async fn watch(&self) -> io::Result<()> {
        while !self.socket.ready(Interest::READABLE).await?.is_read_closed() {
            // This request, or the next one, is there already, which is no reason to stop: wait for what comes after it.
            let _ = self.socket.try_io::<()>(Interest::READABLE, || Err(io::ErrorKind::WouldBlock.into()));
        }
        Ok(())
    }
}
