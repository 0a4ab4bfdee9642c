//! Knows what the control words of RTF mean to a reader of its text.
//! Never does what they say.

use crate::extract::rtf::info::Field;

/// Where the text of a group goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Destination {
    /// Into the document.
    Text,
    /// Nowhere.
    Nowhere,
    /// The fonts are defined.
    Fonts,
    /// The mark of a list's item.
    Mark,
    /// A footnote or endnote.
    Note,
    /// The group of what the file says of itself, outside of its fields.
    Properties,
    /// What the file says of itself.
    Info(Field),
}

/// The destination that a control word opens; `None` when it opens none.
pub(super) fn destination(word: &str) -> Option<Destination> {
    Some(match word {
        "fonttbl" => Destination::Fonts,
        "listtext" | "pntext" => Destination::Mark,
        "footnote" => Destination::Note,
        "title" => Destination::Info(Field::Title),
        "author" => Destination::Info(Field::Author),
        "creatim" => Destination::Info(Field::Created),
        "revtim" => Destination::Info(Field::Modified),
        "shptxt" | "fldrslt" => Destination::Text,
        "info" => Destination::Properties,
        "colortbl" | "stylesheet" | "upr" | "pict" | "objdata" | "header" | "headerl" | "headerr"
        | "headerf" | "footer" | "footerl" | "footerr" | "footerf" | "fldinst" | "annotation" | "atnid"
        | "atnauthor" | "bkmkstart" | "bkmkend" | "nonshppict" | "shprslt" | "filetbl" | "listtable"
        | "listoverridetable" | "revtbl" | "rsidtbl" | "themedata" | "xe" | "tc" | "tcn" | "nonesttables"
        | "subject" | "operator" | "keywords" | "comment" | "doccomm" | "company" | "manager"
        | "category" | "hlinkbase" | "printim" | "buptim" | "ftnsep" | "ftnsepc" | "aftnsep" | "aftnsepc"
        | "template" | "falt" | "panose" | "sp" | "objclass" | "objname" | "datafield" | "formfield"
        | "mmath" | "txe" | "rxe" => Destination::Nowhere,
        _ => return None,
    })
}

/// The character that a control word stands for.
pub(super) fn character(word: &str) -> Option<&'static str> {
    Some(match word {
        "tab" | "emspace" | "enspace" | "qmspace" => " ",
        "emdash" => "—",
        "endash" => "–",
        "lquote" => "‘",
        "rquote" => "’",
        "ldblquote" => "“",
        "rdblquote" => "”",
        "bullet" => "•",
        _ => return None,
    })
}
