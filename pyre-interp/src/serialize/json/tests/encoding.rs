//! Objects to bytes.

use super::*;

#[track_caller]
fn check(python: &Fixture<'_>, expression: &str, expected: &str) {
    let value = python.eval(expression);
    let encoded = python.encode(&value).unwrap();
    assert_eq!(String::from_utf8(encoded).unwrap(), expected, "{expression}");
}

#[track_caller]
fn check_refused(python: &Fixture<'_>, expression: &str, expected: &str) {
    let value = python.eval(expression);
    assert_eq!(python.encode(&value).unwrap_err(), expected, "{expression}");
}

#[test]
fn built_in_types() {
    with_python(|python| {
        check(python, "None", "null");
        check(python, "[True, False]", "[true,false]");
        check(
            python,
            "[0, -1, 2**30, -2**30, 2**31, 2**62, -2**63, 2**64]",
            "[0,-1,1073741824,\
                -1073741824,2147483648,4611686018427387904,-9223372036854775808,18446744073709551616]",
        );
        check(python, "10**100", &format!("1{}", "0".repeat(100)));
        check(python, "[1.0, -0.0, 1.5, 1e16, 5e-324, 1e22]", "[1.0,-0.0,1.5,1e16,5e-324,1e22]");
        check(python, "{}", "{}");
        check(python, "[[], (), {'a': []}]", r#"[[],[],{"a":[]}]"#);
        check(python, "{'message': 'Hello, World!'}", r#"{"message":"Hello, World!"}"#);
        check(python, "(1, (2,), [3])", "[1,[2],[3]]");
        check(python, "'é€😀\\x00\\x7f\"'", "\"é€😀\\u0000\u{7f}\\\"\"");
        check(
            python,
            "['\\ud800', '\\udfffx', 'é\\udc00', '😀\\ud800']",
            "[\"\u{fffd}\",\"\u{fffd}x\",\"é\u{fffd}\",\"😀\u{fffd}\"]",
        );
    });
}

#[test]
fn keys_as_json_dumps() {
    with_python(|python| {
        python.run(
            "
class Text(str): pass
class Number(int): pass
class Color(enum.IntEnum):
    RED = 1
class Word(enum.StrEnum):
    A = 'a'
",
        );
        for expression in [
            "{'a': 1, 1: 2, True: 3, None: 4}",
            "{1.5: 1, 1e16: 2, 1e-5: 3, -0.0: 4, 1e22: 5}",
            "{False: 0, 10**30: 1, -7: 2}",
            "{Text('t'): 1, Number(5): 2, Color.RED: 3, Word.A: 4}",
            "{'é\"': 1, '': 2}",
        ] {
            let value = python.eval(expression);
            let theirs = python.get("dumps").call1(&value, python.py).unwrap();
            let theirs = theirs.cast::<pyre_ffi::Bytes>().unwrap().as_slice();
            assert_eq!(python.encode(&value).unwrap(), theirs, "{expression}");
        }
        check_refused(
            python,
            "[{(1, 2): 3}]",
            "TypeError: keys must be str, int, float, bool or None, not tuple at $[0]",
        );
        check_refused(
            python,
            "{'a': {b'x': 3}}",
            "TypeError: keys must be str, int, float, bool or None, not bytes at $.a",
        );
        check_refused(
            python,
            "{float('nan'): 3}",
            "ValueError: Out of range float value nan is not JSON compliant at $",
        );
    });
}

#[test]
fn other_types() {
    with_python(|python| {
        python.run(
            "
class Text(str): pass
class Number(int):
    def __repr__(self): return 'no number'
class Real(float):
    def __repr__(self): return 'no number'
class Items(list): pass
class Pair(collections.namedtuple('Pair', 'x y')): pass
class Color(enum.Enum):
    RED = {'deep': (1,)}
class Level(enum.IntEnum):
    LOW = 1
class Word(enum.StrEnum):
    A = 'a'
@dataclasses.dataclass
class Point:
    x: int
    y: 'list' = dataclasses.field(default_factory=list)
    hidden: dataclasses.InitVar[int] = 0
    kind: typing.ClassVar[str] = 'point'
@dataclasses.dataclass(slots=True, frozen=True)
class Slotted:
    when: datetime.date
    inner: Point
class Model:
    def model_dump(self, *, mode='python'):
        return {'mode': mode}
class Map(collections.abc.Mapping):
    def __getitem__(self, key): return {'a': 1, 'b': [2]}[key]
    def __iter__(self): return iter('ab')
    def __len__(self): return 2
def numbers():
    yield 1
    yield [2]
ordered = collections.OrderedDict(a=1, b=2)
ordered.move_to_end('a')
",
        );
        check(python, "[Text('é'), Number(7), Real(1.5), Items([1])]", r#"["é",7,1.5,[1]]"#);
        check(python, "Pair(1, 2)", "[1,2]");
        check(python, "[Color.RED, Level.LOW, Word.A]", r#"[{"deep":[1]},1,"a"]"#);
        check(python, "Point(1, [2])", r#"{"x":1,"y":[2]}"#);
        check(
            python,
            "Slotted(datetime.date(2024, 2, 29), Point(3))",
            r#"{"when":"2024-02-29","inner":{"x":3,"y":[]}}"#,
        );
        check(python, "Model()", r#"{"mode":"json"}"#);
        check(
            python,
            "[Map(), types.MappingProxyType({'x': 1}), ordered]",
            r#"[{"a":1,"b":[2]},{"x":1},{"b":2,"a":1}]"#,
        );
        check(
            python,
            "[collections.defaultdict(list, a=[1]), collections.Counter('aa')]",
            r#"[{"a":[1]},{"a":2}]"#,
        );
        check(
            python,
            "[{1}, frozenset([2]), collections.deque([3, 4]), numbers(), set()]",
            "[[1],[2],[3,4],[1,[2]],[]]",
        );
        check(
            python,
            "[datetime.datetime(2024, 1, 2, 3, 4, 5, 6), datetime.time(1, 2)]",
            r#"["2024-01-02T03:04:05.000006","01:02:00"]"#,
        );
        check(
            python,
            "datetime.datetime(2024, 1, 2, tzinfo=datetime.timezone.utc)",
            r#""2024-01-02T00:00:00+00:00""#,
        );
        check(python, "uuid.UUID(int=1)", r#""00000000-0000-0000-0000-000000000001""#);
        check(python, "[decimal.Decimal('1.10'), decimal.Decimal('NaN')]", r#"["1.10","NaN"]"#);
    });
}

#[test]
fn failures_name_the_place() {
    with_python(|python| {
        python.run(
            "
class Point: pass
class Broken:
    def model_dump(self, mode): raise KeyError('gone')
def broken():
    yield 1
    raise OSError('lost')
a = {}
a['a'] = a
b = [1, [2, {'x y': []}]]
b[1][1]['x y'].append(b)
deep = []
for _ in range(300): deep = [deep]
class Endless:
    @property
    def more(self): return Endless()
",
        );
        let type_error = |name: &str, place: &str| {
            format!("TypeError: Object of type {name} is not JSON serializable at {place}")
        };
        check_refused(python, "b'x'", &type_error("bytes", "$"));
        check_refused(
            python,
            "{'users': [{'score': 1j}]}",
            &type_error("complex", "$.users[0].score"),
        );
        check_refused(
            python,
            "{'a b': (1, {2: [Point()]})}",
            &type_error("Point", "$[\"a b\"][1].2[0]").replace(".2[", "[\"2\"]["),
        );
        check_refused(python, "[object, ...]", &type_error("type", "$[0]"));
        check_refused(python, "range(3)", &type_error("range", "$"));
        check_refused(
            python,
            "{'users': [{'score': float('inf')}]}",
            "ValueError: Out of range float value inf is not JSON compliant at $.users[0].score",
        );
        check_refused(python, "a", "ValueError: Circular reference detected at $.a");
        check_refused(
            python,
            "b",
            "ValueError: Circular reference detected at $[1][1][\"x y\"][0]",
        );
        let message = python.encode(&python.eval("deep")).unwrap_err();
        assert!(
            message.starts_with("ValueError: The depth of nesting exceeds 256 at $[0][0]"),
            "{message}"
        );
        check_refused(python, "[1, broken()]", "OSError: lost");
        check_refused(python, "[{'m': Broken()}]", "KeyError: 'gone'");
        check_refused(
            python,
            "10**5000",
            "ValueError: Exceeds the limit (4300 digits) for integer string conversion; \
                use sys.set_int_max_str_digits() to increase the limit",
        );
    });
}

#[test]
fn exceptions_of_user_code_get_the_place_as_a_note() {
    with_python(|python| {
        python.run(
            "
def broken():
    yield 1
    raise OSError('lost')
",
        );
        let value = python.eval("{'rows': [0, broken()]}");
        let raised = encode(python.py, &value, &mut Vec::new(), &python.cache, None).unwrap_err();
        python.set("error", raised.take(python.py).as_any());
        assert!(python.truth("error.__notes__ == ['while encoding JSON at $.rows[1]']"));
    });
}

#[test]
fn the_hook_gets_what_has_no_rule() {
    with_python(|python| {
        python.run(
            "
class Point:
    def __init__(self, x): self.x = x
def default(value):
    if isinstance(value, Point): return {'x': value.x}
    if isinstance(value, complex): return value
    if isinstance(value, bytes): return bytearray(value)
    raise TypeError(f'no JSON for {type(value).__name__}')
",
        );
        let default = python.get("default");
        let encode = |expression: &str| {
            let encoded = python.encode_with(&python.eval(expression), Some(&default))?;
            Ok(String::from_utf8(encoded).unwrap())
        };
        assert_eq!(
            encode("[Point(1), Point([Point(2)])]"),
            Ok(r#"[{"x":1},{"x":[{"x":2}]}]"#.to_owned())
        );
        assert_eq!(
            encode("[1j]"),
            Err("ValueError: Circular reference detected at $[0]".to_owned())
        );
        assert_eq!(encode("b''"), Err("TypeError: no JSON for bytearray".to_owned()));
        assert_eq!(encode("{'a': object}"), Err("TypeError: no JSON for type".to_owned()));
    });
}

#[test]
fn code_that_changes_what_is_encoded() {
    with_python(|python| {
        python.run(
            "
class Shrink:
    def __init__(self, target): self.target = target
    def model_dump(self, mode):
        self.target.clear()
        return 'gone'
class Grow(Shrink):
    def model_dump(self, mode):
        if len(self.target) < 50: self.target.append(self.target[0])
        return 1
class Swap(Shrink):
    def model_dump(self, mode):
        for key in list(self.target): self.target[key] = object()
        return 1
items = []
items += [Shrink(items), object(), object()]
growing = []
growing.append(Grow(growing))
members = {}
members['a'] = Shrink(members)
members['b'] = 1
swapped = {}
swapped['a'] = Swap(swapped)
swapped['b'] = 1
",
        );
        check(python, "items", r#"["gone"]"#);
        check(python, "growing", &format!("[{}]", vec!["1"; 50].join(",")));
        check_refused(python, "members", "RuntimeError: dictionary changed size during iteration");
        check_refused(
            python,
            "swapped",
            "TypeError: Object of type object is not JSON serializable at $.b",
        );
    });
}

#[test]
fn many_types_fit_the_small_memory() {
    with_python(|python| {
        python.run(
            "
kinds = [dataclasses.make_dataclass(f'Kind{n}', [f'field{n}']) for n in range(50)]
many = [kind(n) for n, kind in enumerate(kinds)]
",
        );
        let expected: Vec<_> = (0..50).map(|n| format!("{{\"field{n}\":{n}}}")).collect();
        for _ in 0..3 {
            check(python, "many", &format!("[{}]", expected.join(",")));
        }
    });
}

#[test]
fn counts_balance() {
    with_python(|python| {
        python.run(
            "
class Point: pass
unit = 'a string of its own'.upper()
inner = [unit, (unit,), {unit: unit}]
value = {'inner': inner, 'more': {'x': inner}}
bad = [inner, {'y': [unit, Point()]}]
",
        );
        let count = || {
            let counts = python.eval("(sys.getrefcount(unit), sys.getrefcount(inner))");
            counts.repr(python.py).unwrap().as_utf8(python.py).unwrap().to_owned()
        };
        let before = count();
        for _ in 0..100 {
            python.encode(&python.get("value")).unwrap();
            python.encode(&python.get("bad")).unwrap_err();
        }
        assert_eq!(count(), before);
    });
}

#[test]
fn large_values_take_little_time() {
    with_python(|python| {
        time_limit(20, || {
            let text = python.eval("'\\x01' * 2_000_000");
            assert_eq!(python.encode(&text).unwrap().len(), 12_000_002);
            let text = python.eval("'é' * 2_000_000");
            assert_eq!(python.encode(&text).unwrap().len(), 4_000_002);
            let text = python.eval("'x' * 50_000_000");
            assert_eq!(python.encode(&text).unwrap().len(), 50_000_002);
            let list = python.eval("[None] * 1_000_000");
            assert_eq!(python.encode(&list).unwrap().len(), 5_000_001);
        });
    });
}
