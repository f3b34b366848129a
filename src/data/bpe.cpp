#include "data/bpe.h"

#include "core/check.h"
#include "data/pre_tokens.h"

#include <algorithm>
#include <limits>
#include <queue>

namespace plumb {

Bpe::Bpe(std::vector<std::string> tokens, std::vector<BpeMerge> merges)
    : tokens_(std::move(tokens)), merges_(std::move(merges)) {
    byte_token_.fill(-1);
    std::unordered_map<std::string_view, std::size_t> seen;
    for (std::size_t i = 0; i < tokens_.size(); ++i) {
        const std::string& token = tokens_[i];
        if (token.empty()) throw UsageError(fmt::format("token {} is empty", i));
        if (const auto [other, fresh] = seen.emplace(token, i); !fresh)
            throw UsageError(fmt::format("tokens {} and {} are the same bytes", other->second, i));
        if (token.size() == 1)
            byte_token_[static_cast<unsigned char>(token[0])] = static_cast<std::int32_t>(i);
    }
    for (std::size_t byte = 0; byte < byte_token_.size(); ++byte)
        if (byte_token_[byte] < 0)
            throw UsageError(fmt::format("the byte 0x{:02x} has no token", byte));
    ranked_.reserve(merges_.size());
    for (std::size_t rank = 0; rank < merges_.size(); ++rank) {
        const auto& [left, right, result] = merges_[rank];
        const auto at = [&](std::int32_t token) -> const std::string& {
            return tokens_.at(static_cast<std::size_t>(token));
        };
        require(at(left) + at(right) == at(result), "a merge makes other bytes than it takes");
        // Of a pair that is there twice the last rank counts, as in GPT-2's own encoder.
        ranked_.insert_or_assign(bpe_pair(left, right),
                                 Ranked{static_cast<std::int32_t>(rank), result});
    }
}

const Bpe::Ranked* Bpe::find(std::int32_t left, std::int32_t right) const {
    const auto at = ranked_.find(bpe_pair(left, right));
    return at == ranked_.end() ? nullptr : &at->second;
}

// The tokens of a word as a list in place, and the pairs that may be merged, the lowest rank first.
struct Bpe::Word {
    struct Candidate {
        std::int32_t rank;
        std::uint32_t at;  // of the left token
        bool operator>(const Candidate& o) const {
            return rank != o.rank ? rank > o.rank : at > o.at;
        }
    };
    std::vector<std::int32_t> token;            // -1: merged away
    std::vector<std::uint32_t> previous, next;  // next of the last: size
    std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> candidates;
};

// O(n log n) also for a word of a megabyte, which a file that is no text can have.
void Bpe::encode_word(std::string_view text, Word& word, std::vector<std::int32_t>& out) const {
    require(text.size() < std::numeric_limits<std::uint32_t>::max(), "a word of 4 GiB");
    const auto n = static_cast<std::uint32_t>(text.size());
    word.token.resize(n), word.previous.resize(n), word.next.resize(n);
    for (std::uint32_t i = 0; i < n; ++i) {
        word.token[i] = byte_token_[static_cast<unsigned char>(text[i])];
        word.previous[i] = i - 1, word.next[i] = i + 1;
    }
    const auto found_at = [&](std::uint32_t i) {
        const std::uint32_t j = word.next[i];
        return word.token[i] < 0 || j == n ? nullptr : find(word.token[i], word.token[j]);
    };
    const auto offer = [&](std::uint32_t i) {
        if (const Ranked* found = found_at(i)) word.candidates.push({found->rank, i});
    };
    for (std::uint32_t i = 0; i + 1 < n; ++i) offer(i);
    while (!word.candidates.empty()) {
        const auto [rank, i] = word.candidates.top();
        word.candidates.pop();
        const Ranked* found = found_at(i);
        if (!found || found->rank != rank) continue;  // merged otherwise since
        const std::uint32_t j = word.next[i], after = word.next[j];
        word.token[i] = found->result, word.token[j] = -1;
        word.next[i] = after;
        if (after < n) word.previous[after] = i;
        if (i > 0) offer(word.previous[i]);
        offer(i);
    }
    for (std::uint32_t i = 0; i < n; i = word.next[i]) out.push_back(word.token[i]);
}

std::vector<std::int32_t> Bpe::encode(std::string_view text) const {
    struct Piece {
        std::size_t begin, size;  // in `out`
    };
    constexpr std::size_t kMostRemembered = 1 << 20;
    std::vector<std::int32_t> out;
    out.reserve(text.size() / 4);
    std::unordered_map<std::string_view, Piece> seen;  // words come again and again
    Word word;
    for (std::size_t begin = 0; begin < text.size();) {
        const std::size_t end = pre_token_end(text, begin);
        if (seen.size() >= kMostRemembered) seen.clear();
        const auto [at, fresh] = seen.try_emplace(text.substr(begin, end - begin));
        if (fresh) {
            at->second.begin = out.size();
            encode_word(at->first, word, out);
            at->second.size = out.size() - at->second.begin;
        } else {
            const auto [from, n] = at->second;
            out.resize(out.size() + n);
            std::copy_n(out.begin() + static_cast<std::ptrdiff_t>(from), n,
                        out.end() - static_cast<std::ptrdiff_t>(n));
        }
        begin = end;
    }
    return out;
}

std::string Bpe::decode(std::span<const std::int32_t> tokens) const {
    std::string text;
    for (const std::int32_t token : tokens) {
        require(token >= 0, "a negative token");
        const auto i = static_cast<std::size_t>(token);
        text += i < tokens_.size() ? tokens_[i] : "\xef\xbf\xbd";
    }
    return text;
}

}  // namespace plumb
