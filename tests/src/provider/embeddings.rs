//! `/v1/embeddings` of OpenAI and `/v1/embed` of TEI: hashed bags of words, so that texts which share words are near each other.
//! Never depends on anything but the text and the dimension.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract;
use axum::http::{HeaderMap, Response};
use serde_json::{Value, json};

use super::faults::{admit, failed, json_answer};
use super::{Failure, State};

/// Answers with the vectors in reverse order: clients have to go by `index`.
pub(super) async fn embed(
    extract::State(state): extract::State<Arc<State>>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response<Body> {
    const PATH: &str = "/v1/embeddings";
    let mut accepted = match admit(&state, PATH, &headers, &body).await {
        Ok(accepted) => accepted,
        Err(response) => return response,
    };
    let texts = texts(body.get("input"));
    if accepted.knobs.refused_text.as_deref().is_some_and(|refused| texts.contains(&refused)) {
        accepted.guard.finish();
        return failed(&Failure::always(400), PATH);
    }
    let words: usize = texts.iter().map(|text| text.split_whitespace().count()).sum();
    let vector = |(index, text): (usize, &&str)| json!({"object": "embedding", "index": index, "embedding": bag_of_words(text, accepted.knobs.dimension)});
    let data: Vec<Value> = texts.iter().enumerate().map(vector).rev().collect();
    let answer = json!({
        "object": "list",
        "data": data,
        "model": body.get("model"),
        "usage": {"prompt_tokens": words, "total_tokens": words},
    });
    accepted.guard.finish();
    json_answer(&answer)
}

/// Answers with the bare vectors, in the order of the texts.
pub(super) async fn embed_bare(
    extract::State(state): extract::State<Arc<State>>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response<Body> {
    let mut accepted = match admit(&state, "/v1/embed", &headers, &body).await {
        Ok(accepted) => accepted,
        Err(response) => return response,
    };
    let dimension = accepted.knobs.dimension;
    let vectors: Vec<_> =
        texts(body.get("inputs")).into_iter().map(|text| bag_of_words(text, dimension)).collect();
    accepted.guard.finish();
    json_answer(&json!(vectors))
}

fn texts(input: Option<&Value>) -> Vec<&str> {
    match input {
        Some(Value::Array(texts)) => texts.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(text)) => vec![text],
        _ => Vec::new(),
    }
}

/// The words' hashes, counted into `dimension` places and normalised.
fn bag_of_words(text: &str, dimension: usize) -> Vec<f32> {
    let mut vector = vec![0.0_f32; dimension.max(1)];
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        let hash = fnv1a(&word.to_lowercase());
        let place = usize::try_from(hash >> 1).unwrap_or_default() % dimension.max(1);
        if let Some(element) = vector.get_mut(place) {
            *element += if hash & 1 == 0 { 1.0 } else { -1.0 };
        }
    }
    let length = vector.iter().map(|element| element * element).sum::<f32>().sqrt();
    if length == 0.0 {
        // A text without words still needs a direction.
        vector.iter_mut().take(1).for_each(|element| *element = 1.0);
        return vector;
    }
    vector.into_iter().map(|element| element / length).collect()
}

/// FNV-1a, 64 bits: the same on every machine and in every version, unlike the standard library's hasher.
fn fnv1a(word: &str) -> u64 {
    word.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_share_words_are_nearer_than_others() {
        let cosine = |a: &str, b: &str| -> f32 {
            bag_of_words(a, 64).iter().zip(bag_of_words(b, 64)).map(|(a, b)| a * b).sum()
        };
        let question = "How do I rotate an API key?";
        let near = cosine(question, "To rotate an API key, call the rotate endpoint.");
        let far = cosine(question, "Penguins live on the southern half of our planet.");
        assert!(near > far + 0.2, "{near} {far}");
        assert!((cosine(question, question) - 1.0).abs() < 1e-5);
        assert!((cosine("", "") - 1.0).abs() < 1e-5);
    }
}
