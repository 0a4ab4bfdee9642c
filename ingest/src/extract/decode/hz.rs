//! Decodes HZ (RFC 1843): Chinese in seven bits, between `~{` and `~}`.
//! Never takes text for HZ in which any tilde does not fit.

/// The text, when it is HZ and has Chinese in it.
pub(super) fn decoded(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    if !text.contains("~{") {
        return None;
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, after)) = rest.split_once('~') {
        out.push_str(plain);
        let escape = after.chars().next()?;
        rest = after.get(escape.len_utf8()..)?;
        match escape {
            '~' => out.push('~'),
            '\n' => {}
            '{' => {
                let (coded, after) = rest.split_once("~}")?;
                out.push_str(&chinese(coded)?);
                rest = after;
            }
            _ => return None,
        }
    }
    out.push_str(rest);
    Some(out)
}

/// GB 2312 is the upper half of its eight-bit form.
fn chinese(coded: &str) -> Option<String> {
    let upper: Vec<u8> = coded.bytes().map(|byte| byte | 0x80).collect();
    let is_paired = upper.len().is_multiple_of(2) && coded.bytes().all(|byte| (0x21..0x7F).contains(&byte));
    let (text, had_errors) = encoding_rs::GBK.decode_without_bom_handling(&upper);
    (is_paired && !had_errors).then(|| text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chinese_between_its_escapes_is_read() {
        assert_eq!(decoded(b"In GB: ~{<:Ky2;~}, ~~ and more~\n.").unwrap(), "In GB: 己所不, ~ and more.");
    }

    #[test]
    fn a_tilde_of_another_kind_makes_it_plain_text() {
        for text in [&b"Figure~{ab} of ~/home"[..], b"~{abc~}", b"~{ab", b"a~b"] {
            assert_eq!(decoded(text), None);
        }
    }
}
