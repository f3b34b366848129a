// A pickle is a program for a stack machine (pickletools.py of CPython describes every
// instruction). Plain data needs only those that push a constant, collect what lies above a mark,
// and remember an object for later; the rest of the machine, which imports and calls, is not here.
#include "data/nanogpt_meta.h"

#include "core/check.h"
#include "core/files.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace plumb {
namespace {

using Ref = std::size_t;  // an object, in Machine::objects
using Dict = std::vector<std::pair<Ref, Ref>>;
struct Other {};  // None, a bool, a float, bytes, a list or a tuple: nobody asks for it
struct Mark {};
using Object = std::variant<Other, Mark, std::int64_t, std::string, Dict>;

class Machine {
public:
    explicit Machine(std::string_view bytes) : bytes_(bytes) {}

    // Runs the program; the object it leaves.
    Ref run() {
        while (step(take(1)[0])) {
        }
        return pop();
    }
    template <class T>
    const T* get(Ref r) const {
        return std::get_if<T>(&objects_[r]);
    }

private:
    std::string_view take(std::size_t n) {
        if (n > bytes_.size() - at_) throw IoError("it ends early");
        at_ += n;
        return bytes_.substr(at_ - n, n);
    }
    std::size_t number(std::size_t n_bytes) {
        std::size_t value = 0;
        std::memcpy(&value, take(n_bytes).data(), n_bytes);
        return value;
    }
    void push(Object object) {
        objects_.push_back(std::move(object));
        stack_.push_back(objects_.size() - 1);
    }
    Ref pop() {
        if (stack_.empty()) throw IoError("it takes more than it has");
        const Ref top = stack_.back();
        stack_.pop_back();
        return top;
    }
    Ref top() {
        const Ref r = pop();
        stack_.push_back(r);
        return r;
    }
    // What lies above the last mark, which goes too.
    std::vector<Ref> above_mark() {
        std::vector<Ref> found;
        for (Ref r = pop(); !get<Mark>(r); r = pop()) found.push_back(r);
        std::reverse(found.begin(), found.end());
        return found;
    }
    void set_items(const std::vector<Ref>& items) {
        auto* dict = std::get_if<Dict>(&objects_[top()]);
        if (!dict || items.size() % 2 != 0) throw IoError("it sets items of no dictionary");
        for (std::size_t i = 0; i < items.size(); i += 2)
            dict->emplace_back(items[i], items[i + 1]);
    }
    void recall(std::size_t key) {
        const auto found = memo_.find(key);
        if (found == memo_.end()) throw IoError("it recalls what it never remembered");
        stack_.push_back(found->second);
    }
    std::int64_t long_integer(std::size_t n) {  // two's complement
        if (n > 8) throw IoError("it has a number of more than 64 bits");
        const bool negative = n > 0 && (static_cast<unsigned char>(bytes_[at_ + n - 1]) & 0x80);
        std::uint64_t value = negative && n < 8 ? ~std::uint64_t{0} << 8 * n : 0;
        return static_cast<std::int64_t>(value | number(n));
    }
    bool push_constant(char code);
    bool step(char code);

    std::string_view bytes_;
    std::size_t at_ = 0;
    std::vector<Object> objects_;
    std::vector<Ref> stack_;
    std::map<std::size_t, Ref> memo_;
};

// False if the instruction is another one. The names are those of pickletools.py.
bool Machine::push_constant(char code) {
    switch (code) {
        case 'K':
            push(static_cast<std::int64_t>(number(1)));
            return true;  // BININT1
        case 'M':
            push(static_cast<std::int64_t>(number(2)));
            return true;  // BININT2
        case 'J':
            push(std::int64_t{static_cast<std::int32_t>(number(4))});
            return true;  // BININT
        case '\x8a': {    // LONG1
            const std::size_t n = number(1);
            if (n > bytes_.size() - at_) throw IoError("it ends early");
            push(long_integer(n));
            return true;
        }
        case '\x8c':
            push(std::string(take(number(1))));
            return true;  // SHORT_BINUNICODE
        case 'X':
            push(std::string(take(number(4))));
            return true;  // BINUNICODE
        case '}':
            push(Dict{});
            return true;  // EMPTY_DICT
        case '(':
            push(Mark{});
            return true;  // MARK
        case 'N':
        case '\x88':
        case '\x89':
        case ']':
        case ')':  // None, True, False, [], ()
            push(Other{});
            return true;
        case 'G':
            take(8), push(Other{});
            return true;  // BINFLOAT
        case 'C':
            take(number(1)), push(Other{});
            return true;  // SHORT_BINBYTES
        case 'B':
            take(number(4)), push(Other{});
            return true;  // BINBYTES
        default:
            return false;
    }
}

// False at the end.
bool Machine::step(char code) {
    if (push_constant(code)) return true;
    switch (code) {
        case '\x80':
            take(1);
            return true;  // PROTO
        case '\x95':
            take(8);
            return true;  // FRAME
        case '\x94':
            memo_.emplace(memo_.size(), top());
            return true;  // MEMOIZE
        case 'q':
            memo_.insert_or_assign(number(1), top());
            return true;  // BINPUT
        case 'r':
            memo_.insert_or_assign(number(4), top());
            return true;  // LONG_BINPUT
        case 'h':
            recall(number(1));
            return true;  // BINGET
        case 'j':
            recall(number(4));
            return true;  // LONG_BINGET
        case 'u':
            set_items(above_mark());
            return true;  // SETITEMS
        case 's': {       // SETITEM
            const Ref value = pop(), key = pop();
            set_items({key, value});
            return true;
        }
        case 'e':
            above_mark();
            return true;  // APPENDS
        case 'a':
            pop();
            return true;  // APPEND
        case 't':
            above_mark(), push(Other{});
            return true;  // TUPLE
        case '\x85':
        case '\x86':
        case '\x87':  // TUPLE1, 2, 3
            for (char n = '\x84'; n != code; ++n) pop();
            push(Other{});
            return true;
        case '.':
            return false;  // STOP
        default:
            throw IoError(
                fmt::format("it holds more than numbers, texts and dictionaries "
                            "(instruction 0x{:02x})",
                            static_cast<unsigned char>(code)));
    }
}

const Ref* find(const Machine& machine, const Dict& dict, std::string_view key) {
    for (const auto& [k, value] : dict)
        if (const auto* text = machine.get<std::string>(k); text && *text == key) return &value;
    return nullptr;
}

// itos as one text, if it gives each of the tokens 0 .. vocab - 1 a text.
std::string characters_of(const Machine& machine, const Dict& itos, std::int64_t vocab) {
    std::map<std::int64_t, std::string> text;
    for (const auto& [key, value] : itos) {
        const auto* token = machine.get<std::int64_t>(key);
        const auto* character = machine.get<std::string>(value);
        if (!token || !character) return "";
        text[*token] = *character;
    }
    if (static_cast<std::int64_t>(text.size()) != vocab || text.begin()->first != 0 ||
        text.rbegin()->first != vocab - 1)
        return "";
    std::string all;
    for (const auto& [token, character] : text) all += character;
    return all;
}

NanoGptMeta parse(std::string_view bytes) {
    Machine machine(bytes);
    const auto* dict = machine.get<Dict>(machine.run());
    if (!dict) throw IoError("it is not a dictionary");
    const Ref* size = find(machine, *dict, "vocab_size");
    const auto* vocab = size ? machine.get<std::int64_t>(*size) : nullptr;
    if (!vocab || *vocab < 1) throw IoError("it has no vocab_size");
    const Ref* itos = find(machine, *dict, "itos");
    const auto* table = itos ? machine.get<Dict>(*itos) : nullptr;
    return {*vocab, table ? characters_of(machine, *table, *vocab) : ""};
}

}  // namespace

std::optional<NanoGptMeta> read_nanogpt_meta(const std::filesystem::path& folder) {
    const auto file = folder / "meta.pkl";
    std::error_code ignored;
    if (!std::filesystem::exists(file, ignored)) return std::nullopt;
    const std::string bytes = read_file(file);
    try {
        return parse(bytes);
    } catch (const IoError& e) {
        throw IoError(fmt::format(
            "{}: not a meta.pkl that can be read without running Python: {}. Move it away and give "
            "the size of the vocabulary: data.vocab=N",
            file.string(), e.what()));
    }
}

}  // namespace plumb
