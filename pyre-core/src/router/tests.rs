//! What the frozen table finds, by example and against a slow matcher that is plainly right.

use pyre_http::method::Method;
use pyre_http::span::Span;

use super::table::{Found, RouteError, RouteTable, RouteTableBuilder};

fn table(routes: &[(&str, &str)]) -> RouteTable {
    let mut builder = RouteTableBuilder::new();
    for (index, (method, pattern)) in routes.iter().enumerate() {
        assert_eq!(builder.add(method, pattern).unwrap().0 as usize, index);
    }
    builder.freeze()
}

/// "3 a=b" for a route and its parameters, "405 GET, HEAD", "204 GET", "404".
fn find(table: &RouteTable, name: &str, path: &str) -> String {
    let mut params = vec![Span { start: 7, end: 7 }];
    let buffer = format!("GET {path}");
    let found = table.find(
        table.exact(path.as_bytes()),
        Method::of(name.as_bytes()),
        name.as_bytes(),
        path.as_bytes(),
        &mut params,
        4,
    );
    assert_eq!(params[0], Span { start: 7, end: 7 }, "what was there stays");
    let allow = |set| {
        let mut out = Vec::new();
        table.write_allow(set, &mut out);
        String::from_utf8(out).unwrap()
    };
    let answer = match found {
        Found::Route(id) => {
            let parameters = table.route(id).pattern.parameters();
            assert_eq!(parameters.len(), params.len() - 1);
            let mut answer = id.0.to_string();
            for (parameter, span) in parameters.iter().zip(&params[1..]) {
                let value = std::str::from_utf8(span.of(buffer.as_bytes())).unwrap();
                answer += &format!(" {}={value}", parameter.name);
            }
            return answer;
        }
        Found::MethodNotAllowed(set) => format!("405 {}", allow(set)),
        Found::Options(set) => format!("204 {}", allow(set)),
        Found::NotFound => "404".to_owned(),
    };
    assert_eq!(params.len(), 1, "parameters of a route that was not found");
    answer
}

#[track_caller]
fn check(table: &RouteTable, request: &str, expected: &str) {
    let (method, path) = request.split_once(' ').unwrap();
    assert_eq!(find(table, method, path), expected, "{request}");
}

#[test]
fn a_route_that_is_kept_apart_is_found_but_not_on_the_quick_way() {
    let mut builder = RouteTableBuilder::new();
    let socket = builder.add_apart("GET", "/ws").unwrap();
    let post = builder.add("POST", "/ws").unwrap();
    assert!(matches!(builder.add("GET", "/ws"), Err(RouteError::Conflict(_))));
    let table = builder.freeze();
    for request in ["GET /ws", "HEAD /ws"] {
        check(&table, request, "0");
    }
    check(&table, "POST /ws", "1");
    check(&table, "PUT /ws", "405 GET, HEAD, POST, OPTIONS");
    let exact = table.exact(b"/ws").unwrap();
    assert_eq!(table.route_at(exact, Method::Get), None);
    assert_eq!(table.route_at(exact, Method::Head), None);
    assert_eq!(table.route_at(exact, Method::Post), Some(post));
    assert_eq!(socket.0, 0);
}

#[test]
fn static_beats_typed_beats_text_beats_rest() {
    let table = table(&[
        ("GET", "/{*all}"),
        ("GET", "/users/{name}"),
        ("GET", "/users/{id:int}"),
        ("GET", "/users/me"),
        ("GET", "/users/{price:float}"),
        ("GET", "/users/{u:uuid}"),
        ("GET", "/users/{rest:path}"),
        ("GET", "/users/v{major:int}"),
        ("GET", "/"),
    ]);
    check(&table, "GET /", "8");
    check(&table, "GET /users/me", "3");
    check(&table, "GET /users/42", "2 id=42");
    check(&table, "GET /users/-42", "2 id=-42");
    check(&table, "GET /users/4.5", "4 price=4.5");
    check(&table, "GET /users/v7", "7 major=7");
    check(&table, "GET /users/vx", "1 name=vx");
    check(
        &table,
        "GET /users/12345678123456781234567812345678",
        "5 u=12345678123456781234567812345678",
    );
    check(&table, "GET /users/bob", "1 name=bob");
    check(&table, "GET /users/bob/posts/", "6 rest=bob/posts/");
    check(&table, "GET /users/", "0 all=users/");
    check(&table, "GET /users", "0 all=users");
    check(&table, "GET //", "0 all=/");
}

#[test]
fn goes_back_out_of_a_branch_that_leads_nowhere() {
    let table = table(&[
        ("GET", "/a/b/c"),
        ("GET", "/a/{x}/d"),
        ("GET", "/{y}/b/{z}/e"),
        ("GET", "/{p}/{*q}"),
    ]);
    check(&table, "GET /a/b/c", "0");
    check(&table, "GET /a/b/d", "1 x=b");
    check(&table, "GET /a/b/d/e", "2 y=a z=d");
    check(&table, "GET /a/b/d/f", "3 p=a q=b/d/f");
    check(&table, "GET /a/", "3 p=a q=");
    check(&table, "GET /a", "404");
    check(&table, "GET //x", "404");
}

#[test]
fn text_around_a_parameter() {
    let table = table(&[
        ("GET", "/{name}"),
        ("GET", "/{name}.txt"),
        ("GET", "/report-{year:int}.txt"),
        ("GET", "/report-{name}"),
    ]);
    check(&table, "GET /report-2024.txt", "2 year=2024");
    check(&table, "GET /report-x.txt", "3 name=x.txt");
    check(&table, "GET /a.txt", "1 name=a");
    check(&table, "GET /.txt", "0 name=.txt");
    check(&table, "GET /%72eport%2D%32%30.%74xt", "2 year=%32%30");
    check(&table, "GET /a%2Etx%74", "1 name=a");
    check(&table, "GET /%2Etxt", "0 name=%2Etxt");
    check(&table, "GET /repor%74-%C3%A9", "3 name=%C3%A9");
    check(&table, "GET /t%", "0 name=t%");
}

#[test]
fn spelling_does_not_matter_in_static_text() {
    let table = table(&[("GET", "/café/a b"), ("GET", "/users/me"), ("GET", "/users/{id}/~x")]);
    check(&table, "GET /caf%C3%A9/a%20b", "0");
    check(&table, "GET /%63af%c3%a9/a%20b", "0");
    check(&table, "GET /user%73/me", "1");
    check(&table, "GET /users/%7E/%7ex", "2 id=%7E");
    check(&table, "GET /users/a%2Fb/~x", "2 id=a%2Fb");
    check(&table, "GET /users%2Fme", "404");
    check(&table, "GET /Users/me", "404");
    let table = self::table(&[("GET", "/100%"), ("GET", "/100%/{x}")]);
    check(&table, "GET /100%", "0");
    check(&table, "GET /100%25", "0");
    check(&table, "GET /100%25/a", "1 x=a");
    check(&table, "GET /100%2525", "404");
}

#[test]
fn methods() {
    let table = table(&[
        ("GET", "/a"),
        ("POST", "/a"),
        ("HEAD", "/h"),
        ("GET", "/h"),
        ("OPTIONS", "/o"),
        ("PURGE", "/{x}"),
        ("DELETE", "/{x:int}"),
        ("POST", "/users/{id}"),
        ("GET", "/users/me"),
    ]);
    check(&table, "HEAD /a", "0");
    check(&table, "HEAD /h", "2");
    check(&table, "OPTIONS /o", "4");
    check(&table, "PURGE /a", "5 x=a");
    check(&table, "POST /users/me", "7 id=me");
    check(&table, "PUT /a", "405 GET, HEAD, POST, OPTIONS, PURGE");
    check(&table, "LINK /a", "405 GET, HEAD, POST, OPTIONS, PURGE");
    check(&table, "purge /7", "405 DELETE, OPTIONS, PURGE");
    check(&table, "GET /7", "405 DELETE, OPTIONS, PURGE");
    check(&table, "OPTIONS /7", "204 DELETE, OPTIONS, PURGE");
    check(&table, "DELETE /users/me", "405 GET, HEAD, POST, OPTIONS");
    check(&table, "GET /users/me/x", "404");
    check(&table, "OPTIONS /users/me/x", "404");
    check(&table, "OPTIONS *", "204 GET, HEAD, POST, DELETE, OPTIONS, PURGE");
    check(&table, "CONNECT ", "405 GET, HEAD, POST, DELETE, OPTIONS, PURGE");
    check(&table, "GET ", "404");
    check(&table, "GET *", "404");
}

#[test]
fn conflicts_name_both_routes() {
    let check = |first: &str, second: &str, conflicts: bool| {
        let mut builder = RouteTableBuilder::new();
        builder.add("GET", first).unwrap();
        builder.add("POST", second).unwrap();
        let answer = builder.add("GET", second);
        assert_eq!(answer.is_err(), conflicts, "{first} and {second}");
        let Err(error) = answer else { return };
        assert!(matches!(error, RouteError::Conflict(_)));
        assert_eq!(
            error.to_string(),
            format!(
                "the route GET {second:?} conflicts with the earlier route GET {first:?}: \
                 both answer the same requests"
            )
        );
        // A refused route leaves nothing behind.
        assert_eq!(builder.freeze().routes().len(), 2);
    };
    check("/a", "/a", true);
    check("/a b", "/a%20b", true);
    check("/{x}", "/{y}", true);
    check("/{x}", "/{y:str}", true);
    check("/{x:int}/y", "/{z:int}/y", true);
    check("/{*x}", "/{*y}", true);
    check("/a{x}", "/a{y}", true);
    check("/a", "/a/", false);
    check("/{x}", "/{x:int}", false);
    check("/{x:path}", "/{*x}", false);
    check("/a{x}", "/{x}a", false);
}

#[test]
fn refuses_what_is_no_method_and_too_many_of_them() {
    let mut builder = RouteTableBuilder::new();
    for bad in ["", "GE T", "GET\n", "GÉT", "a/b"] {
        assert_eq!(builder.add(bad, "/").unwrap_err(), RouteError::BadMethod(bad.into()));
    }
    for number in 0..55 {
        builder.add(&format!("M{number}"), "/").unwrap();
    }
    assert_eq!(builder.add("M55", "/").unwrap_err(), RouteError::TableFull);
    check(&builder.freeze(), "M54 /", "54");
}

/// Patterns and paths over few words, so that they meet often.
mod against_a_slow_matcher {
    use proptest::prelude::*;

    use super::*;

    const PIECES: [&str; 8] = ["", "a", "b", "{p}", "{p:int}", "{p:float}", "a{p}", "{p}.b"];
    const RESTS: [&str; 3] = ["", "/{r:path}", "/{*r}"];
    const WORDS: [&str; 9] = ["", "a", "b", "1", "1.5", "a1", "a.b", "%61", "1.b"];

    /// How particular each segment of `pattern` is if it matches: less is better.
    fn rank(pattern: &str, path: &str) -> Option<Vec<(u32, i32)>> {
        let is_int = |text: &str| {
            let digits = text.strip_prefix('-').unwrap_or(text);
            !digits.is_empty() && digits.bytes().all(|each| each.is_ascii_digit())
        };
        let is_float = |text: &str| {
            is_int(text)
                || text
                    .split_once('.')
                    .is_some_and(|(a, b)| is_int(a) && is_int(b) && b[..1] != *"-")
        };
        let mut words = path[1..].split('/');
        let mut ranks = Vec::new();
        for piece in pattern[1..].split('/') {
            if piece.contains("{r:path}") || piece.contains("{*r}") {
                let rest: Vec<&str> = words.by_ref().collect();
                let matches = !rest.is_empty() && (piece == "{*r}" || !rest.join("/").is_empty());
                ranks.push((if piece == "{*r}" { 9 } else { 8 }, 0));
                return matches.then_some(ranks);
            }
            let word = words.next()?.replace("%61", "a");
            let rank = match piece.split_once('{') {
                None => (word == piece).then_some((0, 0)),
                Some((prefix, rest)) => {
                    let (inside, suffix) = rest.split_once('}').unwrap();
                    let value = word.strip_prefix(prefix).and_then(|it| it.strip_suffix(suffix))?;
                    // More static text goes first, whatever the converter.
                    let text = -10 * i32::try_from(prefix.len() + suffix.len()).unwrap();
                    match inside {
                        "p:int" => is_int(value).then_some((1, text)),
                        "p:float" => is_float(value).then_some((1, text + 1)),
                        _ => (!value.is_empty()).then_some((1, text + 2)),
                    }
                }
            };
            ranks.push(rank?);
        }
        words.next().is_none().then_some(ranks)
    }

    fn pattern() -> impl Strategy<Value = String> {
        (prop::collection::vec(0..PIECES.len(), 1..4), 0..RESTS.len()).prop_map(|(pieces, rest)| {
            let mut text = String::new();
            for (index, piece) in pieces.into_iter().enumerate() {
                text += &format!("/{}", PIECES[piece].replace('p', &format!("p{index}")));
            }
            text + RESTS[rest]
        })
    }

    fn path() -> impl Strategy<Value = String> {
        prop::collection::vec(prop::sample::select(&WORDS[..]), 1..5)
            .prop_map(|words| format!("/{}", words.join("/")))
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn finds_the_best_route(
            patterns in prop::collection::vec(pattern(), 1..12),
            paths in prop::collection::vec(path(), 1..12),
        ) {
            let mut builder = RouteTableBuilder::new();
            let mut kept = Vec::new();
            for pattern in &patterns {
                if builder.add("GET", pattern).is_ok() {
                    kept.push(pattern.clone());
                }
            }
            let table = builder.freeze();
            for path in &paths {
                let plain = |pattern: &str| {
                    (0..9).fold(pattern.to_owned(), |it, n| it.replace(&format!("p{n}"), "p"))
                };
                let best = kept
                    .iter()
                    .enumerate()
                    .filter_map(|(index, each)| Some((rank(&plain(each), path)?, index)))
                    .min();
                let found = find(&table, "GET", path);
                let found = found.split(' ').next().unwrap().to_owned();
                let expected = best.map_or("404".to_owned(), |(_, index)| index.to_string());
                prop_assert_eq!(found, expected, "{} among {:?}", path, kept);
            }
        }
    }
}
