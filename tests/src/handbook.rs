//! Documents that tell of which release of them a text is, so that an answer from two generations is noticed.

use std::collections::HashSet;

use serde_json::Value;

use crate::world::World;

/// Documents of each release, each of one sentence that names the release.
pub const DOCUMENTS: usize = 12;

/// Writes all documents of a release in place of the one before.
pub fn write_release(world: &World, release: usize) {
    for n in 0..DOCUMENTS {
        let text = format!(
            "# Handbook {n}\n\nRelease {release} of the handbook explains topic {n} to its readers.\n"
        );
        world.write(&format!("handbook-{n}.md"), &text);
    }
}

/// What one response said: the generation that it names, and the releases that its texts are of.
pub type Seen = (String, HashSet<usize>);

/// Reads a response with these texts.
pub fn seen<'a>(body: &Value, texts: impl Iterator<Item = &'a Value>) -> Seen {
    let generation =
        body["generation"].as_str().unwrap_or_else(|| panic!("no generation in {body}")).to_owned();
    (generation, texts.flat_map(|text| releases(text.as_str().unwrap())).collect())
}

/// The releases that a text speaks of.
fn releases(text: &str) -> HashSet<usize> {
    let mut words = text.split_whitespace();
    let mut found = HashSet::new();
    while let Some(word) = words.next() {
        if word == "Release" {
            found.extend(words.next().and_then(|number| number.parse::<usize>().ok()));
        }
    }
    found
}
