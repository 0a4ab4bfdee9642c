//! An ask as server-sent events: `meta`, `sources`, `delta`, `citation`, then exactly one of `done` or `error`.
//! Holds the state of one request only; dropping the body drops its share of the work.

use std::pin::Pin;
use std::time::Duration;

use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse};
use futures::stream::{self, Stream};
use serde::Serialize;
use tokio_util::sync::DropGuard;

use crate::answer::event::Event;
use crate::api::ask::{AnswerBody, Context};
use crate::api::error::Problem;
use crate::app::App;
use crate::ask::Asking;
use crate::connection::Connection;
use crate::origin::CacheOutcome;
use crate::sessions::id::SessionId;

/// How long a stream is silent at most: proxies close idle connections after 30 to 60 seconds.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

#[derive(Serialize)]
struct Meta<'a> {
    request_id: &'a str,
    generation: &'a str,
    cache: CacheOutcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<SessionId>,
}

#[derive(Serialize)]
struct Delta<'a> {
    text: &'a str,
}

/// The response that follows an ask to its end. Who does not read it is hung up on: nothing else ends a stream whose client
/// neither reads nor leaves.
pub fn respond(asking: Asking, context: Context, http: &HttpRequest) -> HttpResponse {
    let grace = http.app_data::<web::Data<App>>().map(|app| app.config.http.slow_reader).unwrap_or_default();
    let last_moment = asking.deadline().extended_by(grace);
    let connection = http.conn_data::<Connection>();
    let guard = connection.map(|connection| connection.hang_up_at(last_moment));
    let left: Left = match connection.cloned() {
        Some(connection) => Box::pin(connection.closed()),
        None => Box::pin(std::future::pending()),
    };
    HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header(("X-Accel-Buffering", "no"))
        .streaming(events(Streaming { asking, context, left, _guard: guard }))
}

/// Resolves when the client has left: actix-web notices only when it has something to write.
type Left = Pin<Box<dyn Future<Output = ()>>>;

/// A stream that is being sent.
struct Streaming {
    asking: Asking,
    context: Context,
    left: Left,
    _guard: Option<DropGuard>,
}

impl Streaming {
    /// The next piece, none after the last and when the client has left.
    async fn next(&mut self) -> Option<Bytes> {
        let event = tokio::select! {
            biased;
            event = tokio::time::timeout(KEEP_ALIVE, self.asking.next()) => event,
            () = &mut self.left => return None,
        };
        match event {
            Err(_) => Some(Bytes::from_static(b": keep-alive\n\n")),
            Ok(event) => event.map(|event| encode(&event, &self.asking, &self.context)),
        }
    }
}

fn events(streaming: Streaming) -> impl Stream<Item = Result<Bytes, actix_web::Error>> {
    let meta = Meta {
        request_id: streaming.context.request_id.as_str(),
        generation: streaming.asking.generation.as_str(),
        cache: streaming.context.outcome,
        session_id: streaming.context.session_id,
    };
    let first = frame("meta", &meta);
    let rest = stream::unfold(streaming, async |mut streaming| {
        let bytes = streaming.next().await?;
        Some((Ok(bytes), streaming))
    });
    futures::StreamExt::chain(stream::once(async move { Ok(first) }), rest)
}

fn encode(event: &Event, asking: &Asking, context: &Context) -> Bytes {
    match event {
        Event::Sources(sources) => frame("sources", sources.as_ref()),
        Event::Delta(text) => frame("delta", &Delta { text }),
        Event::Citation(citation) => frame("citation", citation),
        Event::Done(answer) => frame("done", &AnswerBody::of(answer, context)),
        Event::Failed(error) => {
            let problem = Problem::from(error.as_ref()).after(asking.delivered().clone());
            problem.log(context.request_id.as_str());
            frame("error", &problem.body(context.request_id.as_str()))
        }
    }
}

/// One event. JSON has no raw line breaks, so that one `data` line carries it.
fn frame(name: &str, data: &(impl Serialize + ?Sized)) -> Bytes {
    let json = serde_json::to_string(data).unwrap_or_else(|_| "{}".to_owned());
    Bytes::from(format!("event: {name}\ndata: {json}\n\n"))
}
