#include "data/bpe_trainer.h"

#include "core/check.h"
#include "core/text.h"
#include "data/pre_tokens.h"

#include <algorithm>
#include <limits>
#include <queue>

namespace plumb {
namespace {

constexpr std::int64_t kFewest = 2;  // times that a pair must occur

class Trainer {
public:
    Trainer(std::string_view text, std::int64_t vocab, const DataProgress& progress)
        : vocab_(vocab), progress_(progress), tokens_(bpe_alphabet()) {
        for (std::size_t i = 0; i < tokens_.size(); ++i) add_id(i);
        lay_out(count_words(text));
    }

    Bpe run() {
        for (const auto& [key, pair] : pairs_) candidates_.push({pair.count, key});
        while (std::ssize(tokens_) < vocab_) {
            if (merges_.size() % 64 == 0) report();
            merge(most_frequent());
        }
        return {std::move(tokens_), std::move(merges_)};
    }

private:
    using Words = std::unordered_map<std::string_view, std::int64_t>;
    struct Pair {
        std::int64_t count = 0;
        std::vector<std::uint32_t> at;  // where it was seen; may not be there any more
    };
    struct Candidate {
        std::int64_t count;
        std::uint64_t pair;
        bool operator<(const Candidate& o) const {
            return count != o.count ? count < o.count : pair > o.pair;
        }
    };
    static constexpr std::int32_t kBetween = -1, kGone = -2;  // no tokens

    void report() const {
        if (!progress_) return;
        const auto n = static_cast<double>(std::ssize(tokens_) - 256);
        progress_(0.5 + 0.5 * n / static_cast<double>(vocab_ - 256),
                  fmt::format("token {} of {}", thousands(std::ssize(tokens_)), thousands(vocab_)));
    }

    void add_id(std::size_t token) { ids_[tokens_[token]] = static_cast<std::int32_t>(token); }

    Words count_words(std::string_view text) const {
        constexpr std::size_t kReported = 1 << 20;  // bytes between two reports
        Words words;
        std::size_t next_report = kReported;
        for (std::size_t begin = 0; begin < text.size();) {
            const std::size_t end = pre_token_end(text, begin);
            ++words[text.substr(begin, end - begin)];
            begin = end;
            if (!progress_ || begin < next_report) continue;
            progress_(0.5 * static_cast<double>(begin) / static_cast<double>(text.size()),
                      "counting words");
            next_report = begin + kReported;
        }
        return words;
    }

    // All words one after the other, kBetween before, between and behind them.
    void lay_out(const Words& words) {
        std::size_t size = 1;
        for (const auto& [word, count] : words) size += word.size() + 1;
        if (size > std::numeric_limits<std::uint32_t>::max())
            throw UsageError(
                "the different words of the text have more than 4 GiB, which no vocabulary is "
                "learnt from; name less text, or a vocabulary that is there: --tokenizer gpt2:DIR");
        symbols_.reserve(size), counts_.reserve(size);
        const auto put = [&](std::int32_t symbol, std::int64_t count) {
            symbols_.push_back(symbol), counts_.push_back(count);
        };
        put(kBetween, 0);
        for (const auto& [word, count] : words) {
            for (const char byte : word) put(ids_.at(std::string(1, byte)), count);
            put(kBetween, 0);
        }
        previous_.resize(size), next_.resize(size);
        for (std::uint32_t i = 0; i < size; ++i) previous_[i] = i - 1, next_[i] = i + 1;
        for (std::uint32_t i = 0; i + 1 < size; ++i)
            if (symbols_[i] >= 0 && symbols_[i + 1] >= 0) add(i);
    }

    // The pair that begins at i, once more for each time that the word occurs.
    std::uint64_t add(std::uint32_t i) {
        const std::uint64_t key = bpe_pair(symbols_[i], symbols_[next_[i]]);
        Pair& pair = pairs_[key];
        pair.count += counts_[i];
        pair.at.push_back(i);
        return key;
    }
    void take(std::uint32_t i) {
        const auto at = pairs_.find(bpe_pair(symbols_[i], symbols_[next_[i]]));
        if (at != pairs_.end()) at->second.count -= counts_[i];
    }

    std::uint64_t most_frequent() {
        while (!candidates_.empty()) {
            const Candidate top = candidates_.top();
            candidates_.pop();
            const auto at = pairs_.find(top.pair);
            if (at == pairs_.end() || at->second.count < kFewest) continue;
            if (at->second.count == top.count) return top.pair;
            candidates_.push({at->second.count, top.pair});
        }
        throw UsageError(fmt::format(
            "the training text gives no more than {} tokens: every pair of them that is left "
            "occurs once. Type --tokenizer bpe:{}, or name more text",
            thousands(std::ssize(tokens_)), tokens_.size()));
    }

    void merge(std::uint64_t key) {
        const auto left = static_cast<std::int32_t>(key >> 32),
                   right = static_cast<std::int32_t>(key);
        const auto at = static_cast<std::size_t>(left), behind = static_cast<std::size_t>(right);
        std::string bytes = tokens_[at] + tokens_[behind];
        if (!ids_.contains(bytes)) {
            tokens_.push_back(bytes);
            add_id(tokens_.size() - 1);
        }
        const std::int32_t result = ids_.at(bytes);
        merges_.push_back({left, right, result});
        std::vector<std::uint32_t> places = std::move(pairs_.at(key).at);
        pairs_.erase(key);
        std::sort(places.begin(), places.end());  // "aaa" is (aa)a
        std::vector<std::uint64_t> grown;
        for (const std::uint32_t i : places)
            if (symbols_[i] == left && symbols_[next_[i]] == right) merge_at(i, result, grown);
        std::sort(grown.begin(), grown.end());
        grown.erase(std::unique(grown.begin(), grown.end()), grown.end());
        for (const std::uint64_t pair : grown) candidates_.push({pairs_.at(pair).count, pair});
    }

    void merge_at(std::uint32_t i, std::int32_t result, std::vector<std::uint64_t>& grown) {
        const std::uint32_t before = previous_[i], j = next_[i], after = next_[j];
        if (symbols_[before] >= 0) take(before);
        if (symbols_[after] >= 0) take(j);
        symbols_[i] = result, symbols_[j] = kGone;
        next_[i] = after, previous_[after] = i;
        if (symbols_[before] >= 0) grown.push_back(add(before));
        if (symbols_[after] >= 0) grown.push_back(add(i));
    }

    std::int64_t vocab_;
    const DataProgress& progress_;
    std::vector<std::string> tokens_;
    std::unordered_map<std::string, std::int32_t> ids_;
    std::vector<BpeMerge> merges_;
    std::vector<std::int32_t> symbols_;           // a token, kBetween or kGone
    std::vector<std::int64_t> counts_;            // of the word that the symbol is of
    std::vector<std::uint32_t> previous_, next_;  // symbols that are still there
    std::unordered_map<std::uint64_t, Pair> pairs_;
    std::priority_queue<Candidate> candidates_;
};

}  // namespace

Bpe train_bpe(std::string_view text, std::int64_t vocab, const DataProgress& progress) {
    if (vocab < 256)
        throw UsageError(fmt::format("a vocabulary of {} tokens: bytes alone are 256", vocab));
    return Trainer(text, vocab, progress).run();
}

}  // namespace plumb
