/* Compares numbers.rs with the headers of the interpreter that is built for. build.rs compiles this
   with every number as a macro of its name, runs it, and shows what it says. */

#include <Python.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

static int wrong;

static void expect(const char *name, unsigned long expected, unsigned long found) {
    if (expected != found) {
        printf("%s is %lu in numbers.rs, %lu in the headers\n", name, expected, found);
        wrong = 1;
    }
}

#define EXPECT(name, found) expect(#name, (unsigned long)(name), (unsigned long)(found))

/* The first four bytes of the fields of a string, in which one field has all of its bits set. */
#define WORD_WITH(field)                                                \
    ({                                                                  \
        PyASCIIObject object;                                           \
        uint32_t word;                                                  \
        memset(&object, 0, sizeof object);                              \
        object.state.field = ~0u;                                       \
        memcpy(&word, (char *)&object + STRING_STATE, sizeof word);     \
        word;                                                           \
    })

int main(void) {
    EXPECT(STRING_LENGTH, offsetof(PyASCIIObject, length));
    EXPECT(STRING_HASH, offsetof(PyASCIIObject, hash));
    EXPECT(STRING_STATE, offsetof(PyASCIIObject, state));
    EXPECT(STRING_ASCII_HEADER, sizeof(PyASCIIObject));
    EXPECT(STRING_COMPACT_HEADER, sizeof(PyCompactUnicodeObject));
    EXPECT(STRING_DATA, offsetof(PyUnicodeObject, data));

    expect("the word with interned", 3ul << STRING_INTERNED_BIT, WORD_WITH(interned));
    expect("the word with the kind", 7ul << STRING_KIND_BIT, WORD_WITH(kind));
    expect("the word with compact", 1ul << STRING_COMPACT_BIT, WORD_WITH(compact));
    expect("the word with ascii", 1ul << STRING_ASCII_BIT, WORD_WITH(ascii));
    uint32_t rest = WORD_WITH(interned) | WORD_WITH(statically_allocated);
    expect("fields above STRING_FIELD_BITS", 0, rest >> STRING_FIELD_BITS);

    EXPECT(INT_TAG, offsetof(PyLongObject, long_value.lv_tag));
    EXPECT(INT_DIGIT, offsetof(PyLongObject, long_value.ob_digit));
    EXPECT(INT_DIGIT_BITS, PyLong_SHIFT);
    EXPECT(INT_SIGN_MASK, _PyLong_SIGN_MASK);
    EXPECT(INT_COUNT_BIT, _PyLong_NON_SIZE_BITS);

    EXPECT(DICT_LENGTH, offsetof(PyDictObject, ma_used));
#if PY_VERSION_HEX >= 0x030e0000
    EXPECT(DICT_WATCHERS, offsetof(PyDictObject, _ma_watcher_tag));
#else
    EXPECT(DICT_WATCHERS, offsetof(PyDictObject, ma_version_tag));
#endif
    EXPECT(DICT_DEALLOCATED, PyDict_EVENT_DEALLOCATED);
    return wrong;
}
