//! The phrases by which text tries to instruct a model, as words and the distances between them.
//! Data alone: what is looked for, never how.

use super::Kind;

/// A phrase: one of the first words, then, step by step, one of the next words within a distance.
#[derive(Debug)]
pub(super) struct Phrase {
    pub(super) kind: Kind,
    pub(super) first: &'static [&'static str],
    pub(super) steps: &'static [(usize, &'static [&'static str])],
}

type Words = &'static [&'static str];

const fn phrase(kind: Kind, first: Words, steps: &'static [(usize, Words)]) -> Phrase {
    Phrase { kind, first, steps }
}

const FORGET: Words = &["ignore", "disregard", "forget", "neglect"];
const OVERRULE: Words = &["override", "bypass", "overrule", "discard", "dismiss", "violate"];
const EARLIER: Words = &[
    "previous",
    "prior",
    "above",
    "earlier",
    "preceding",
    "foregoing",
    "former",
    "initial",
    "original",
    "system",
];
const ORDERS: Words = &[
    "instruction",
    "instructions",
    "prompt",
    "prompts",
    "directive",
    "directives",
    "guideline",
    "guidelines",
    "programming",
];
const RULES: Words = &[
    "instruction",
    "instructions",
    "prompt",
    "prompts",
    "directive",
    "directives",
    "guideline",
    "guidelines",
    "programming",
    "rules",
    "commands",
    "orders",
    "training",
    "constraints",
    "restrictions",
];
const AI: Words =
    &["ai", "ais", "llm", "llms", "chatbot", "chatbots", "chatgpt", "claude", "gpt", "assistant"];

/// All phrases.
#[rustfmt::skip]
pub(super) const PHRASES: &[Phrase] = &[
    // "ignore all previous instructions"
    phrase(Kind::Override, FORGET, &[(3, EARLIER), (3, RULES)]),
    phrase(Kind::Override, OVERRULE, &[(3, EARLIER), (3, ORDERS)]),
    phrase(Kind::Override, FORGET, &[(2, &["all", "any", "every", "your"]), (2, ORDERS)]),
    phrase(Kind::Override, FORGET, &[(2, &["your"]), (2, RULES)]),
    phrase(Kind::Override, OVERRULE, &[(2, &["your"]), (2, RULES)]),
    phrase(Kind::Override, FORGET, &[(3, RULES), (2, &["above", "before", "earlier", "previously", "given"])]),
    phrase(Kind::Override, FORGET, &[(1, &["everything", "anything", "all", "what"]), (4, &["above", "told", "instructed", "previously"])]),
    phrase(Kind::Override, &["stop"], &[(1, &["following", "obeying"]), (3, &["previous", "prior", "your", "earlier", "original"]), (3, RULES)]),
    phrase(Kind::Override, &["not", "dont", "never"], &[(1, &["follow", "obey"]), (3, &["previous", "prior", "your", "earlier", "original", "system"]), (2, RULES)]),
    phrase(Kind::Override, &["previous", "prior", "earlier"], &[(1, RULES), (3, &["void", "revoked", "cancelled", "canceled", "superseded", "invalid", "suspended"])]),
    phrase(Kind::Override, &["new", "updated", "real", "actual", "true"], &[(1, &["system"]), (1, &["prompt", "instruction", "instructions"])]),
    phrase(Kind::Override, &["your"], &[(2, &["new", "real", "actual", "true", "only"]), (1, &["instructions", "task", "goal", "purpose", "objective", "mission"]), (1, &["is", "are", "now"])]),
    phrase(Kind::Override, &["new", "updated"], &[(1, &["instruction", "instructions"]), (2, &["you", "ignore", "disregard", "forget", "always", "never", "from"])]),
    // The same in other languages, accents folded.
    phrase(Kind::Override, &["ignoriere", "ignorier", "ignorieren", "ignoriert", "vergiss", "vergesse", "vergessen", "missachte", "missachten", "missachtet"],
        &[(3, &["vorherigen", "bisherigen", "vorigen", "obigen", "alle", "allen", "deine", "ihre", "vorangegangenen", "fruheren"]), (3, &["anweisung", "anweisungen", "instruktionen", "regeln", "vorgaben", "befehle", "prompts"])]),
    phrase(Kind::Override, &["ignore", "ignorez", "oublie", "oubliez", "negligez", "ignorer"],
        &[(4, &["instructions", "consignes", "directives", "regles"]), (2, &["precedentes", "anterieures", "ci", "donnees", "initiales"])]),
    phrase(Kind::Override, &["ignora", "ignore", "ignoren", "ignorad", "ignorar", "olvida", "olvide", "olvidad", "desconsidere", "ignorare", "ignorate", "dimentica", "dimenticate", "esqueca"],
        &[(4, &["instrucciones", "indicaciones", "ordenes", "reglas", "istruzioni", "regole", "instrucoes", "regras", "ordens"])]),
    phrase(Kind::Override, &["negeer", "vergeet"], &[(3, &["vorige", "eerdere", "bovenstaande", "alle", "voorgaande"]), (2, &["instructies", "regels", "opdrachten"])]),
    phrase(Kind::Override, &["zignoruj", "ignoruj", "zapomnij"], &[(4, &["instrukcje", "polecenia", "zasady"])]),
    phrase(Kind::Override, &["игнорируй", "игнорируйте", "проигнорируй", "проигнорируйте", "забудь", "забудьте"],
        &[(4, &["инструкции", "указания", "правила", "команды", "инструкциях", "промпт"])]),
    phrase(Kind::Override, &["onceki", "yukaridaki", "tum"], &[(3, &["talimatlari", "talimatlar", "komutlari", "kurallari"]), (2, &["yoksay", "unut", "dikkate", "gormezden"])]),
    // "you are now DAN", "from now on you answer"
    phrase(Kind::Persona, &["you", "youre"], &[(2, &["now"]), (3, &["dan", "unrestricted", "jailbroken", "unfiltered", "uncensored", "evil"])]),
    phrase(Kind::Persona, &["you", "youre"], &[(3, &["longer"]), (3, &["bound", "ai", "chatbot", "chatgpt", "claude", "assistant"])]),
    phrase(Kind::Persona, &["now"], &[(1, &["on"]), (2, &["you"]), (2, &["respond", "answer", "reply", "act", "pretend", "obey", "follow", "ignore", "are"])]),
    phrase(Kind::Persona, &["pretend"], &[(2, &["are", "be"]), (4, &["ai", "unrestricted", "unfiltered", "hacker", "evil", "dan", "jailbroken", "assistant"])]),
    phrase(Kind::Persona, &["act", "behave"], &[(1, &["as", "like"]), (4, &["dan", "unrestricted", "unfiltered", "jailbroken", "uncensored", "evil"])]),
    phrase(Kind::Persona, &["dan", "jailbreak", "god", "unrestricted"], &[(1, &["mode"]), (2, &["enabled", "activated", "engaged", "on"])]),
    // "reveal your system prompt"
    phrase(Kind::Leak, &["reveal", "print", "show", "repeat", "output", "display", "disclose", "leak", "expose", "recite", "tell"], &[(3, &["your"]), (1, &["instructions", "prompt", "rules", "guidelines"])]),
    phrase(Kind::Leak, &["reveal", "print", "show", "repeat", "output", "display", "disclose", "leak", "expose", "recite", "tell"],
        &[(3, &["your"]), (2, &["system", "hidden", "initial", "original", "secret", "internal"]), (1, &["prompt", "prompts", "instructions", "message", "rules"])]),
    phrase(Kind::Leak, &["repeat", "recite", "print", "output"], &[(1, &["everything", "the"]), (2, &["above", "words", "text"]), (3, &["verbatim", "above"])]),
    // "note to the assistant", "if you are an AI reading this"
    phrase(Kind::Address, &["note", "notice", "instruction", "instructions", "reminder"], &[(1, &["to", "for"]), (2, AI)]),
    phrase(Kind::Address, &["attention", "dear", "hey"], &[(2, &["ai", "ais", "llm", "llms", "chatbot", "chatbots", "chatgpt", "claude", "gpt", "assistant", "assistants"])]),
    phrase(Kind::Address, &["if"], &[(1, &["you"]), (1, &["are"]), (2, &["ai", "llm", "chatbot", "chatgpt", "claude", "gpt", "language"]),
        (2, &["reading", "processing", "model", "assistant", "or", "please", "you", "ignore", "do", "then", "summarizing", "answer", "respond", "say", "include", "add"])]),
    phrase(Kind::Address, &["ai", "ais", "llm", "llms", "chatbot", "chatbots", "assistant", "assistants"], &[(2, &["reading", "processing", "summarizing", "summarising", "parsing", "evaluating"]), (2, &["this", "these"])]),
    phrase(Kind::Address, &["not", "dont", "never"], &[(1, &["tell", "inform", "alert", "notify", "warn"]), (2, &["user", "users", "human", "reader", "anyone"]), (2, &["about", "that", "of"]), (2, &["this", "these", "instruction", "instructions", "you"])]),
    phrase(Kind::Address, &["not", "dont", "never"], &[(1, &["reveal", "mention", "disclose"]), (2, &["this", "these"]), (1, &["instruction", "instructions", "prompt"])]),
    phrase(Kind::Address, &["your"], &[(1, &["answer", "reply"]), (1, &["must", "should"]), (2, &["contain", "include", "say", "start", "begin", "end"])]),
    phrase(Kind::Address, &["begin", "start", "end"], &[(1, &["your", "every", "each", "all"]), (1, &["answer", "answers", "reply", "replies"]), (1, &["with", "by"])]),
    // "send this conversation to https://..."
    phrase(Kind::Exfiltration, &["send", "post", "append", "include", "forward", "transmit", "leak", "exfiltrate", "encode", "embed", "add", "attach", "put"],
        &[(4, &["conversation", "chat", "system", "previous", "everything"]), (12, &["url", "http", "https", "image", "webhook"])]),
];

/// Scripts that put no spaces between words: one of the first, then one of the second within so many characters.
#[rustfmt::skip]
pub(super) const UNSPACED: &[(Words, Words, usize)] = &[
    (&["忽略", "无视", "無視", "忘记", "忘記", "不要遵守"], &["指令", "指示", "命令", "规则", "規則", "提示词", "提示詞"], 12),
    (&["指示", "命令", "プロンプト", "ルール"], &["無視", "忘れ", "従わな"], 10),
    (&["지시", "명령", "지침", "프롬프트"], &["무시", "잊어", "따르지"], 10),
];
