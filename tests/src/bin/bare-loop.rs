//! The floor that Lectern's cost is measured against: an actix-web loop that makes the same three calls (embed, search,
//! chat) with the official clients and nothing else: no admission, no cache, no check, no metric, no deadline.
//! Never used outside of the benchmark, and no example of how to build a server.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a benchmark's counterpart: a panic is a failed run"
)]

use std::fmt::Write as _;

use actix_web::web::{Data, Json};
use actix_web::{App, HttpResponse, HttpServer, web};
use qdrant_client::Qdrant;
use qdrant_client::qdrant::{Query, QueryPointsBuilder, ScoredPoint};
use serde::Deserialize;
use serde_json::{Value, json};

/// The clients, one set per worker.
struct Clients {
    http: reqwest::Client,
    qdrant: Qdrant,
    provider: String,
    alias: String,
}

#[derive(Deserialize)]
struct Request {
    text: String,
    limit: u64,
    #[serde(default)]
    stream: bool,
}

impl Clients {
    async fn search(&self, request: &Request) -> Vec<ScoredPoint> {
        let body = json!({ "model": "hashed-words", "input": [request.text] });
        let url = format!("{}/embeddings", self.provider);
        let reply: Value = self.http.post(url).json(&body).send().await.unwrap().json().await.unwrap();
        let vector: Vec<f32> = serde_json::from_value(reply["data"][0]["embedding"].clone()).unwrap();
        let query = QueryPointsBuilder::new(&self.alias)
            .query(Query::new_nearest(vector))
            .using("dense")
            .limit(request.limit)
            .with_payload(true);
        self.qdrant.query(query).await.unwrap().result
    }

    async fn chat(&self, request: &Request) -> reqwest::Response {
        let mut prompt = String::from("Answer from these sources.\n");
        for (n, point) in self.search(request).await.iter().enumerate() {
            let text = point.payload.get("text").and_then(|text| text.as_str()).map_or("", String::as_str);
            writeln!(prompt, "[{}] {text}", n + 1).unwrap();
        }
        prompt.push_str(&request.text);
        let messages = json!([{ "role": "user", "content": prompt }]);
        let body = json!({ "model": "mock-chat", "messages": messages, "stream": request.stream });
        self.http.post(format!("{}/chat/completions", self.provider)).json(&body).send().await.unwrap()
    }
}

async fn hello() -> HttpResponse {
    HttpResponse::Ok().body("hello")
}

async fn search(clients: Data<Clients>, request: Json<Request>) -> HttpResponse {
    let hits = clients.search(&request).await;
    let hits: Vec<Value> = hits
        .into_iter()
        .map(|point| {
            let payload = qdrant_client::Payload::from(point.payload);
            json!({ "score": point.score, "payload": Value::from(payload) })
        })
        .collect();
    HttpResponse::Ok().json(json!({ "hits": hits }))
}

async fn ask(clients: Data<Clients>, request: Json<Request>) -> HttpResponse {
    let reply = clients.chat(&request).await;
    if request.stream {
        return HttpResponse::Ok().content_type("text/event-stream").streaming(reply.bytes_stream());
    }
    let whole: Value = reply.json().await.unwrap();
    HttpResponse::Ok().json(json!({ "answer": whole["choices"][0]["message"]["content"] }))
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = || arguments.next().unwrap();
    let (provider, store, alias) = (argument(), argument(), argument());
    let server = HttpServer::new(move || {
        let clients = Clients {
            http: reqwest::Client::new(),
            qdrant: Qdrant::from_url(&store).skip_compatibility_check().build().unwrap(),
            provider: provider.clone(),
            alias: alias.clone(),
        };
        App::new()
            .app_data(Data::new(clients))
            .route("/hello", web::get().to(hello))
            .route("/search", web::post().to(search))
            .route("/ask", web::post().to(ask))
    })
    .backlog(4_096)
    .bind(("127.0.0.1", 0))?;
    println!("listening on http://{}", server.addrs()[0]);
    server.run().await
}
