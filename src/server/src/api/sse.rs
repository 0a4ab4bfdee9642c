//! An ask as server-sent events: `meta`, `sources`, `delta`, `citation`, then exactly one of `done` or `error`.
//! Holds the state of one request only; dropping the body drops its share of the work.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::Bytes;
use futures::stream::{self, Stream};
use serde::Serialize;

use crate::answer::event::Event;
use crate::api::ask::{AnswerBody, Context};
use crate::api::error::Problem;
use crate::ask::{Asking, CacheOutcome};
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

/// The response that follows an ask to its end.
pub fn respond(asking: Asking, context: Context) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header(("X-Accel-Buffering", "no"))
        .streaming(events(asking, context))
}

fn events(asking: Asking, context: Context) -> impl Stream<Item = Result<Bytes, actix_web::Error>> {
    let meta = Meta {
        request_id: context.request_id.as_str(),
        generation: asking.generation.as_str(),
        cache: context.outcome,
        session_id: context.session_id,
    };
    let first = frame("meta", &meta);
    let rest = stream::unfold((asking, context), |(mut asking, context)| async move {
        let bytes = match tokio::time::timeout(KEEP_ALIVE, asking.next()).await {
            Err(_) => Bytes::from_static(b": keep-alive\n\n"),
            Ok(None) => return None,
            Ok(Some(event)) => encode(&event, &context),
        };
        Some((Ok(bytes), (asking, context)))
    });
    futures::StreamExt::chain(stream::once(async move { Ok(first) }), rest)
}

fn encode(event: &Event, context: &Context) -> Bytes {
    match event {
        Event::Sources(sources) => frame("sources", sources.as_ref()),
        Event::Delta(text) => frame("delta", &Delta { text }),
        Event::Citation(citation) => frame("citation", citation),
        Event::Done(answer) => frame("done", &AnswerBody::of(answer, context)),
        Event::Failed(error) => {
            let problem = Problem::from(error.as_ref());
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
