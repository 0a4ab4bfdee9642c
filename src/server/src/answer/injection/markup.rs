//! What no prose has: tokens of chat formats, ends of fences, images and addresses that carry data away.
//! Looks at a text as it is written, without regard to case.

use std::collections::BTreeSet;

use super::Kind;

/// Adds what `text` has.
pub(super) fn inspect(text: &str, found: &mut BTreeSet<Kind>) {
    // One character at a time: that search is several times as fast as one for any of three.
    for mark in ['<', '[', '>'] {
        let places = text.match_indices(mark).map(|(at, _)| at);
        found.extend(places.filter_map(|at| marked(text, at, mark)));
    }
    for (at, _) in text.match_indices("://") {
        if address_carries(text.get(at..).unwrap_or_default(), &WHOLE_CONVERSATION) {
            found.insert(Kind::Exfiltration);
        }
    }
    for line in text.lines().map(str::trim_start) {
        if is_role_line(line) {
            found.insert(Kind::RoleTag);
        }
        if is_end_of_sources(line) {
            found.insert(Kind::Forgery);
        }
    }
}

/// What begins with `mark` at this place.
fn marked(text: &str, at: usize, mark: char) -> Option<Kind> {
    let rest = text.get(at..).unwrap_or_default();
    match mark {
        '<' if is_role_tag(text, at) || is_chat_token(rest) => Some(Kind::RoleTag),
        '<' if begins_with_one(rest, &FENCES) => Some(Kind::Forgery),
        '[' if begins_with_one(rest, &BRACKETS) => Some(Kind::RoleTag),
        '[' if is_leaking_image(text, at) => Some(Kind::Exfiltration),
        '>' if is_closing_fence(rest) => Some(Kind::Forgery),
        _ => None,
    }
}

/// How far is looked for the end of what began: a text of beginnings alone must not cost its length squared.
const LONGEST_TOKEN: usize = 40;
const LONGEST_ADDRESS: usize = 400;

fn head(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most)).unwrap_or_default()
}

const ROLE_TAGS: [&str; 9] = [
    "<<sys>>",
    "<</sys>>",
    "<start_of_turn>",
    "<end_of_turn>",
    "<system>",
    "</system>",
    "<assistant>",
    "</assistant>",
    "</instructions>",
];
const BRACKETS: [&str; 3] = ["[inst]", "[/inst]", "[system](#"];
const FENCES: [&str; 6] = ["<<<source", "<<<end", "</context>", "</prompt>", "</sources>", "</evidence>"];

/// A role's tag; not a type's parameter, as in `Vec<System>`.
fn is_role_tag(text: &str, at: usize) -> bool {
    let is_behind_name = text.get(..at).is_some_and(|before| before.ends_with(char::is_alphanumeric));
    !is_behind_name && text.get(at..).is_some_and(|rest| begins_with_one(rest, &ROLE_TAGS))
}

fn begins_with_one(text: &str, beginnings: &[&str]) -> bool {
    beginnings.iter().any(|beginning| begins(text, beginning))
}

fn begins(text: &str, beginning: &str) -> bool {
    text.get(..beginning.len()).is_some_and(|head| head.eq_ignore_ascii_case(beginning))
}

/// `<|im_start|>` and its like.
fn is_chat_token(text: &str) -> bool {
    const NAMES: [&str; 12] = [
        "im_start",
        "im_end",
        "system",
        "user",
        "assistant",
        "endoftext",
        "start_header_id",
        "end_header_id",
        "eot_id",
        "begin_of_text",
        "end",
        "endofprompt",
    ];
    let inside = head(text, LONGEST_TOKEN)
        .strip_prefix("<|")
        .and_then(|rest| rest.split_once("|>"))
        .map(|(name, _)| name);
    inside.is_some_and(|name| NAMES.iter().any(|known| known.eq_ignore_ascii_case(name)))
}

/// `>>>` and something like a nonce.
fn is_closing_fence(text: &str) -> bool {
    const FEWEST: usize = 8;
    let nonce = text.strip_prefix(">>>").unwrap_or_default().trim_start_matches(' ');
    let digits = nonce.bytes().take_while(u8::is_ascii_hexdigit).count();
    let ends = nonce.as_bytes().get(digits).is_none_or(|byte| !byte.is_ascii_alphanumeric());
    digits >= FEWEST && ends
}

/// `system: you are ...` at the beginning of a line, or a role as a heading of a prompt format.
fn is_role_line(line: &str) -> bool {
    const SPOKEN_TO: [&str; 12] = [
        "you are",
        "you must",
        "you will now",
        "ignore",
        "disregard",
        "reveal",
        "respond",
        "obey",
        "override",
        "forget",
        "from now on",
        "answer",
    ];
    let line = line.trim_start_matches(['#', '*', '>', '-', ' ']);
    if !line.starts_with(['s', 'S', 'd', 'D', 'a', 'A', 'i', 'I', 'e', 'E']) {
        return false;
    }
    if begins_with_one(line, &["instruction:", "end system message"]) {
        return true;
    }
    let roles = ["system", "developer", "assistant", "system message", "system prompt"];
    let said = roles.iter().find_map(|role| {
        let behind = line.get(role.len()..).filter(|_| begins(line, role))?;
        behind.trim_start_matches('*').strip_prefix(':')
    });
    let said = said.map(|said| said.trim_start_matches([' ', '*', '"']));
    said.is_some_and(|said| begins_with_one(said, &SPOKEN_TO))
}

/// A line that says, with some decoration, that the sources end here.
fn is_end_of_sources(line: &str) -> bool {
    let inside = line.trim_start_matches(['-', '=', '#', '*', '[', '<', '/', ' ', '>']);
    let is_decorated = line.len() - inside.len() >= 2 || line.starts_with('[');
    if !is_decorated {
        return false;
    }
    let said =
        ["end of ", "end "].iter().find_map(|end| inside.get(end.len()..).filter(|_| begins(inside, end)));
    let what = said.map(|said| if begins(said, "the ") { said.get(4..).unwrap_or_default() } else { said });
    let ended = [
        "sources",
        "context",
        "evidence",
        "retrieved",
        "documents",
        "quoted",
        "untrusted",
        "user input",
        "search results",
    ];
    what.is_some_and(|what| begins_with_one(what, &ended))
}

/// Words for what an address must not carry.
const WHOLE_CONVERSATION: [&str; 6] =
    ["conversation", "chat_history", "chathistory", "system_prompt", "previous_messages", "secrets"];
const ANY_OF_IT: [&str; 12] = [
    "conversation",
    "history",
    "prompt",
    "secret",
    "password",
    "user_data",
    "userdata",
    "context",
    "answer",
    "question",
    "summary",
    "api_key",
];

/// `![...](address?...{conversation})`: the client loads the image, and with it the model's words leave.
fn is_leaking_image(text: &str, at: usize) -> bool {
    let is_image = text.get(..at).is_some_and(|before| before.ends_with('!'));
    let image = text.get(at..).filter(|_| is_image).map(|image| head(image, LONGEST_ADDRESS));
    let address = image.and_then(|image| image.split_once("](")).map(|(_, address)| address);
    address.is_some_and(|address| address_carries(address, &ANY_OF_IT))
}

/// Whether the address has a placeholder behind its `?` that names one of `words`.
fn address_carries(address: &str, words: &[&str]) -> bool {
    let address = head(address, LONGEST_ADDRESS);
    let end = address.find(['\n', ')', '"']).unwrap_or(address.len());
    let Some((_, query)) = address.get(..end).unwrap_or_default().split_once('?') else { return false };
    let places = query.match_indices(['{', '<', '[', '$', '=']);
    places.filter_map(|(at, mark)| placeholder(query.get(at..)?, mark)).any(|name| {
        let name = name.to_lowercase().replace([' ', '-'], "_");
        words.iter().any(|word| name.contains(word)) && !name.ends_with("_id")
    })
}

/// The name in the placeholder at the beginning of `text`: `{name}`, `<name>`, `[name]`, `$name`, or `=NAME` in capitals.
fn placeholder<'a>(text: &'a str, mark: &str) -> Option<&'a str> {
    let inside = text.get(1..)?.trim_start_matches(['{', '[', '<']);
    let end = inside.find(['}', ']', '>', '&', '=']).unwrap_or(inside.len());
    let name = inside.get(..end)?;
    let is_capital = name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    (mark != "=" || is_capital).then_some(name)
}
