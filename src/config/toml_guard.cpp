#include "config/toml_guard.h"

#include "core/check.h"
#include "core/text.h"
#include "core/utf8.h"

namespace plumb {
namespace {

constexpr int kDeepest = 8;

class Scanner {
public:
    Scanner(std::string_view text, const std::string& file) : text_(text), file_(file) {}

    void run() {
        if (const auto bad = invalid_utf8(text_)) {
            at_ = *bad;
            fail("not UTF-8 here");
        }
        if (text_.starts_with("\xef\xbb\xbf")) at_ = 3;
        while (!ended()) {
            skip_blanks();
            if (peek() == '[')
                header();
            else if (!at_line_end())
                assignment();
            end_line();
        }
    }

private:
    static bool is_bare(char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_' || c == '-';
    }
    bool ended() const { return at_ >= text_.size(); }
    char peek() const { return ended() ? '\0' : text_[at_]; }
    bool at_line_end() const {
        return ended() || peek() == '\n' || peek() == '#' || text_.substr(at_).starts_with("\r\n");
    }

    [[noreturn]] void fail(const std::string& what) const {
        std::size_t line = 1;
        for (const char c : text_.substr(0, at_)) line += c == '\n' ? 1 : 0;
        throw UsageError(fmt::format("{}:{}: not valid TOML: {}", file_, line, what));
    }

    // The character here, for a message.
    std::string here() const {
        if (at_line_end()) return "the line ends";
        const std::size_t n = code_point_at(text_, at_).n_bytes;
        return fmt::format("there is '{}'", printable_line(text_.substr(at_, n)));
    }

    void skip_blanks() {
        while (peek() == ' ' || peek() == '\t') ++at_;
    }

    void end_line() {
        skip_blanks();
        if (!at_line_end()) fail("the line should end, but " + here());
        while (!ended() && peek() != '\n') {  // the comment
            const auto c = static_cast<unsigned char>(peek());
            const bool ends = c == '\r' && text_.substr(at_).starts_with("\r\n");
            if ((c < 0x20 && c != '\t' && !ends) || c == 0x7f) fail("a control character");
            ++at_;
        }
        if (!ended()) ++at_;
    }

    void expect(char c, const char* after) {
        skip_blanks();
        if (peek() != c) fail(fmt::format("'{}' should follow {}, but {}", c, after, here()));
        ++at_;
    }

    void header() {
        ++at_;
        const bool array = peek() == '[';
        if (array) ++at_;
        key();
        expect(']', "the table's name");
        if (!array) return;
        if (peek() != ']') fail("']]' should end the header, but " + here());
        ++at_;
    }

    void key() {
        for (int parts = 1;; ++parts) {
            if (parts > kDeepest) fail(fmt::format("keys have at most {} parts", kDeepest));
            skip_blanks();
            key_part();
            skip_blanks();
            if (peek() != '.') return;
            ++at_;
        }
    }

    void key_part() {
        if (peek() == '"' || peek() == '\'') return string(false);
        const std::size_t begin = at_;
        while (is_bare(peek())) ++at_;
        if (at_ == begin)
            fail("a key is made of letters a-z, digits, '_' and '-', or stands in quotes, but " +
                 here());
    }

    void assignment(int depth = 0) {
        key();
        expect('=', "a key");
        skip_blanks();
        if (at_line_end()) fail("a value should follow '='; texts stand in quotes");
        value(depth);
    }

    void value(int depth) {
        if (peek() == '"' || peek() == '\'')
            string(true);
        else if (peek() == '[')
            array(depth);
        else if (peek() == '{')
            inline_table(depth);
        else
            bare_value();
    }

    // Blanks, comments and the ends of lines.
    void skip_lines() {
        for (skip_blanks(); !ended() && at_line_end(); skip_blanks()) end_line();
    }

    void array(int depth) {
        if (depth >= kDeepest) fail(fmt::format("nested deeper than {}", kDeepest));
        ++at_;
        for (skip_lines(); peek() != ']'; skip_lines()) {
            if (ended()) fail("a bracket is never closed");
            value(depth + 1);
            skip_lines();
            if (ended()) fail("a bracket is never closed");
            if (peek() == ',')
                ++at_;
            else if (peek() != ']')
                fail("',' or ']' should follow, but " + here());
        }
        ++at_;
    }

    // { key = value, ... } on one line.
    void inline_table(int depth) {
        if (depth >= kDeepest) fail(fmt::format("nested deeper than {}", kDeepest));
        ++at_;
        skip_blanks();
        for (bool more = peek() != '}'; more;) {
            skip_blanks();
            assignment(depth + 1);
            skip_blanks();
            if (peek() != ',' && peek() != '}') fail("',' or '}' should follow, but " + here());
            more = peek() == ',';
            if (more) ++at_;
        }
        ++at_;
    }

    // A number, true, false, inf or nan: toml++ says which. No setting is a date.
    void bare_value() {
        const std::size_t begin = at_;
        for (; !ended(); ++at_) {
            const char c = peek();
            const bool sign_fits = at_ == begin || text_[at_ - 1] == 'e' || text_[at_ - 1] == 'E';
            if (is_bare(c) && c != '-') continue;
            if (c == '.' || ((c == '-' || c == '+') && sign_fits)) continue;
            break;
        }
        if (at_ == begin || peek() == ':' || peek() == '-')
            fail("a value is a number, true, false, a text in quotes or a list in [], but " +
                 here());
    }

    void string(bool many_lines_allowed) {
        const char quote = peek();
        const std::string three(3, quote);
        const bool many_lines = text_.substr(at_).starts_with(three);
        if (many_lines && !many_lines_allowed) fail("a key in triple quotes");
        at_ += many_lines ? 3 : 1;
        while (!ended() && (many_lines || peek() != '\n')) {
            if (many_lines ? text_.substr(at_).starts_with(three) : peek() == quote) {
                at_ += many_lines ? 3 : 1;
                while (many_lines && peek() == quote) ++at_;  // up to two may belong to the text
                return;
            }
            at_ += quote == '"' && peek() == '\\' ? 2 : 1;
        }
        fail("a text's closing quote is missing");
    }

    std::string_view text_;
    const std::string& file_;
    std::size_t at_ = 0;
};

}  // namespace

void check_toml(std::string_view text, const std::string& file) { Scanner(text, file).run(); }

}  // namespace plumb
