//! A prompt is made of evidence, and evidence of hits: neither can be made up.
// error: E0451 field `pieces` of struct `Evidence` is private
// error: E0451 field `request` of struct `lectern_server::answer::prompt::Prompt` is private
use lectern_server::answer::evidence::Evidence;
use lectern_server::answer::prompt::Prompt;

fn main() {
    let _forged = Evidence { pieces: Vec::new() };
    let _skipped = Prompt { request: unimplemented!() };
}
