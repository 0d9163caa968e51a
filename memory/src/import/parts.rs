//! What a message says, whatever way its tool writes it: a string, a list of parts, or an object.

use std::borrow::Cow;

use super::node::Node;

/// How deep parts within parts are read.
const DEPTH_MAX: usize = 8;

/// Base64 of at least this many bytes is a file and not a word.
const BASE64_BYTES_MIN: usize = 1024;

/// Base64 behind `;base64,` is a file from this size on.
const DATA_URL_BYTES_MIN: usize = 64;

/// The words of a value. Images and files are named, thinking and calls of tools are left out.
pub(super) fn said(node: Node<'_>) -> String {
    let mut text = String::new();
    push(&mut text, node, 0);
    text
}

/// Adds a paragraph.
pub(super) fn push_paragraph(text: &mut String, more: &str) {
    if more.is_empty() {
        return;
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(more);
}

fn push(out: &mut String, node: Node<'_>, depth: usize) {
    if depth > DEPTH_MAX {
        return;
    }
    if let Some(text) = node.text() {
        push_paragraph(out, &text);
    } else if node.is_list() {
        node.items().into_iter().for_each(|item| push(out, item, depth + 1));
    } else if node.is_object() {
        part(out, node, depth);
    }
}

fn part(out: &mut String, node: Node<'_>, depth: usize) {
    let fields = node.fields();
    let kind = fields.first(&["type", "content_type"]).or_empty();
    match kind.as_ref() {
        "thinking" | "redacted_thinking" | "reasoning" | "thoughts" | "thought" | "redacted-reasoning"
        | "encrypted_content" | "tool_use" | "tool_call" | "tool-call" | "tool_call_response" => return,
        "image"
        | "input_image"
        | "image_url"
        | "image_asset_pointer"
        | "file"
        | "document"
        | "input_file"
        | "input_audio"
        | "audio"
        | "video"
        | "blob"
        | "uri"
        | "media" => {
            return push_paragraph(out, &named(node));
        }
        _ => {}
    }
    if fields.get("thought").is_true() {
        return;
    }
    for name in ["inlineData", "inline_data", "fileData", "file_data"] {
        if fields.has(name) {
            return push_paragraph(out, &named(fields.get(name)));
        }
    }
    let inner = fields.first(&["text", "content", "output", "response", "functionResponse", "result", "message"]);
    push(out, inner, depth + 1);
}

/// What stands for a file's bytes: `[image image/png, 12 kB]`.
pub(super) fn named(node: Node<'_>) -> String {
    let fields = node.fields();
    let source = fields.get("source").fields();
    let kind = match fields.first(&["type", "content_type", "modality"]).or_empty().as_ref() {
        kind if kind.contains("image") => "image",
        kind if kind.contains("audio") => "audio",
        kind if kind.contains("video") => "video",
        "document" => "document",
        _ => "file",
    };
    let text = |names: &[&str]| {
        let own = fields.first(names);
        if own.is_null() { source.first(names).or_empty() } else { own.or_empty() }
    };
    let mut media = text(&["mime", "mimeType", "mime_type", "media_type", "mediaType"]).into_owned();
    let name = text(&["filename", "name", "path", "asset_pointer", "fileUri", "file_uri", "uri", "file_id"]);
    let url = match text(&["url", "image_url"]) {
        url if url.is_empty() => fields.get("image_url").get("url").or_empty(),
        url => url,
    };
    let data = text(&["data", "content", "file_data", "image"]);
    let mut bytes = base64_size(data.len());
    let mut place = name.into_owned();
    if let Some(rest) = url.strip_prefix("data:") {
        let (about, body) = rest.split_once(',').unwrap_or((rest, ""));
        media = about.split(';').next().unwrap_or_default().to_owned();
        bytes = base64_size(body.len());
    } else if place.is_empty() {
        place = url.into_owned();
    }
    let mut text = format!("[{kind}");
    for word in [media.as_str(), place.as_str()] {
        if !word.is_empty() && word.len() <= 400 {
            text.push(' ');
            text.push_str(word);
        }
    }
    if bytes > 0 {
        text.push_str(", ");
        text.push_str(&size(bytes));
    }
    text.push(']');
    text
}

fn base64_size(characters: usize) -> usize {
    // Base64 writes three bytes as four.
    characters / 4 * 3
}

fn size(bytes: usize) -> String {
    if bytes >= 1000 { format!("{} kB", bytes.div_ceil(1000)) } else { format!("{bytes} bytes") }
}

/// The text with base64 named instead of written out. Ordinary text is answered as it is, at a cost of
/// looking at one byte in many.
pub(super) fn without_base64(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let mut kept: Option<String> = None;
    let mut done = 0;
    let mut at = 0;
    while at < bytes.len() {
        // A run of the least length covers a byte that is looked at.
        let probe = (at + DATA_URL_BYTES_MIN - 1).min(bytes.len() - 1);
        if !is_base64(bytes[probe]) {
            at = probe + 1;
            continue;
        }
        let before = bytes[done..probe].iter().rev().take_while(|byte| is_base64(**byte)).count();
        let start = probe - before;
        let end = probe + bytes[probe..].iter().take_while(|byte| is_base64(**byte)).count();
        at = end.max(probe + 1);
        let announced = bytes[done..start].ends_with(b";base64,");
        let least = if announced { DATA_URL_BYTES_MIN } else { BASE64_BYTES_MIN };
        let run = &bytes[start..end];
        if run.len() < least || !announced && !looks_encoded(run) {
            continue;
        }
        let mut from = start;
        let mut media = "base64";
        if announced {
            let head = &text[done..start - ";base64,".len()];
            if let Some(colon) = head.rfind("data:").filter(|colon| head.len() - colon < 100) {
                from = done + colon;
                media = &head[colon + "data:".len()..];
            }
        }
        let out = kept.get_or_insert_with(String::new);
        out.push_str(&text[done..from]);
        out.push_str(&format!("[{media}, {}]", size(base64_size(run.len()))));
        done = end;
    }
    match kept {
        Some(mut out) => {
            out.push_str(&text[done..]);
            Cow::Owned(out)
        }
        None => Cow::Borrowed(text),
    }
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_')
}

/// Whether a long run mixes letters and digits the way encoded bytes do; a ruler of dashes and a dump of hex do not.
fn looks_encoded(run: &[u8]) -> bool {
    let sample = &run[..run.len().min(4096)];
    let share = |test: fn(&u8) -> bool| sample.iter().filter(|byte| test(byte)).count() * 100 / sample.len();
    share(u8::is_ascii_uppercase) >= 15 && share(u8::is_ascii_lowercase) >= 15 && share(u8::is_ascii_digit) >= 4
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(json: &str) -> String {
        said(Node::parse(json).unwrap())
    }

    #[test]
    fn words_are_found_in_every_tools_way_of_writing_them() {
        assert_eq!(words(r#""plain""#), "plain");
        assert_eq!(words(r#"[{"type":"input_text","text":"a"},{"text":"b"}]"#), "a\nb");
        assert_eq!(words(r#"[{"functionResponse":{"response":{"output":"out"}}}]"#), "out");
        assert_eq!(words(r#"[{"type":"thinking","thinking":"hm"},{"type":"text","text":"so"}]"#), "so");
        assert_eq!(words(r#"{"content":[{"type":"text","text":"deep"}]}"#), "deep");
        assert_eq!(words("[1,null,true]"), "");
    }

    #[test]
    fn files_are_named_and_their_bytes_are_not_kept() {
        let data = "iVBORw0KGgo1".repeat(400);
        for (json, name) in [
            (format!(r#"{{"inlineData":{{"mimeType":"image/png","data":"{data}"}}}}"#), "[file image/png, 4 kB]"),
            (
                format!(r#"{{"type":"input_image","image_url":"data:image/png;base64,{data}"}}"#),
                "[image image/png, 4 kB]",
            ),
            (
                format!(r#"{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{data}"}}}}"#),
                "[image image/png, 4 kB]",
            ),
            (
                r#"{"type":"file","filename":"a.log","mime":"text/plain","url":"file:///a.log"}"#.to_owned(),
                "[file text/plain a.log]",
            ),
        ] {
            assert_eq!(words(&json), name);
        }
        let long = format!("before data:image/png;base64,{data} between\n{data}\nafter");
        assert_eq!(without_base64(&long), "before [image/png, 4 kB] between\n[base64, 4 kB]\nafter");
    }

    #[test]
    fn ordinary_text_is_left_alone() {
        let ruler = "=".repeat(3000);
        let hex = "0123456789abcdef".repeat(200);
        let path = "src/AbstractFactory1/".repeat(20);
        for text in [ruler.as_str(), &hex, &path, "短い文", "", "data:image/png;base64,AAAA"] {
            assert!(matches!(without_base64(text), Cow::Borrowed(_)), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "(\\PC|;base64,|[A-Za-z0-9]{60}){0,30}") {
            let _ = without_base64(&text);
        }
    }
}
