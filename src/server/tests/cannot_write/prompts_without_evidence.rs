//! A prompt is made of evidence, and evidence of hits: neither can be made up.
// error: E0451 field `pieces` of struct `Evidence` is private
// error: E0451 fields `messages` and `answer_tokens` of struct `lectern_server::answer::prompt::Prompt` are private
use lectern_server::answer::evidence::Evidence;
use lectern_server::answer::prompt::Prompt;

fn main() {
    let _forged = Evidence { pieces: Vec::new() };
    let _skipped = Prompt { messages: Vec::new(), answer_tokens: 1 };
}
