//! What is said of the content of a file, by what its name ends with.

use mime_guess::mime;

use crate::h1::serialize::BodyKind;

/// The value of `Content-Type` for a file of this name. Texts are UTF-8.
#[must_use]
pub fn of_name(name: &str) -> String {
    let extension = name.rsplit('/').next().and_then(|last| last.rsplit_once('.'));
    let guessed = extension.and_then(|(_, extension)| {
        // What the crate has by an older name, or not at all.
        match extension.to_ascii_lowercase().as_str() {
            "js" | "mjs" | "cjs" => Some("text/javascript".to_owned()),
            "ico" => Some("image/x-icon".to_owned()),
            "map" => Some("application/json".to_owned()),
            "webmanifest" => Some("application/manifest+json".to_owned()),
            "avif" => Some("image/avif".to_owned()),
            _ => {
                mime_guess::from_ext(extension).first().map(|guess| guess.essence_str().to_owned())
            }
        }
    });
    match guessed {
        Some(text) if text.starts_with(mime::TEXT.as_str()) => text + "; charset=utf-8",
        Some(other) => other,
        None => BodyKind::Bytes.content_type().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_extension() {
        for (name, expected) in [
            ("a.html", "text/html; charset=utf-8"),
            ("a.HTM", "text/html; charset=utf-8"),
            ("a.css", "text/css; charset=utf-8"),
            ("a/b.c/d.js", "text/javascript; charset=utf-8"),
            ("a.mjs", "text/javascript; charset=utf-8"),
            ("a.txt", "text/plain; charset=utf-8"),
            ("a.csv", "text/csv; charset=utf-8"),
            ("a.json", "application/json"),
            ("a.css.map", "application/json"),
            ("a.webmanifest", "application/manifest+json"),
            ("a.svg", "image/svg+xml"),
            ("a.png", "image/png"),
            ("a.jpeg", "image/jpeg"),
            ("a.webp", "image/webp"),
            ("a.avif", "image/avif"),
            ("favicon.ico", "image/x-icon"),
            ("a.woff2", "font/woff2"),
            ("a.mp4", "video/mp4"),
            ("a.pdf", "application/pdf"),
            ("a.wasm", "application/wasm"),
            ("a.tar.gz", "application/gzip"),
            ("a", "application/octet-stream"),
            ("a.unknown-thing", "application/octet-stream"),
            ("a.b/c", "application/octet-stream"),
            ("a.", "application/octet-stream"),
        ] {
            assert_eq!(of_name(name), expected, "{name}");
        }
    }
}
