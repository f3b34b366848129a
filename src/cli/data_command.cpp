#include "cli/data_command.h"

#include "cli/terminal.h"
#include "core/text.h"
#include "data/prepare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <numbers>
#include <sstream>

namespace plumb {
namespace {

constexpr const char* kDataExamples = R"(Examples:
  plumb data prepare austen --out data/austen
  plumb data prepare notes/*.txt --out data/notes --test-fraction 0.05
  plumb data prepare train.txt --val val.txt --out data/mine
  plumb data prepare kjv --out data/kjv-bpe --tokenizer bpe:4096
  plumb data prepare notes/*.txt --out data/more --tokenizer gpt2:data/kjv-bpe
)";

struct DataArguments {
    std::vector<std::string> text, val, test;
    std::string separator = "\\n";  // as typed
    PrepareOptions options;
};

// \n, \t, \r, \0 and \\ as in C; everything else stands for itself.
std::string unescape(const std::string& typed) {
    constexpr std::string_view letters = "ntr0\\", meant{"\n\t\r\0\\", 5};
    std::string text;
    for (std::size_t i = 0; i < typed.size(); ++i) {
        const auto at = typed[i] == '\\' && i + 1 < typed.size() ? letters.find(typed[i + 1])
                                                                 : std::string_view::npos;
        text += at == std::string_view::npos ? typed[i] : meant[at];
        if (at != std::string_view::npos) ++i;
    }
    return text;
}

std::string tokenizer_help() {
    std::string text;
    for (const TokenizerKind& kind : tokenizer_kinds())
        text += fmt::format("{}{} ({})", text.empty() ? "" : ", ", kind.typed(), kind.about);
    return text;
}

// At most six lines.
std::string printable_sample(const std::string& text) {
    std::istringstream lines(text);
    std::string shown, line;
    for (int n = 0; n < 6 && std::getline(lines, line); ++n)
        shown += (n == 0 ? "  | " : "\n  | ") + printable_line(line);
    return shown;
}

void print_split(const char* file, const SplitMeta& split) {
    fmt::print("{:<12} {} tokens, sha256 {}\n", file, thousands(split.tokens), split.sha256);
}

double bytes_of(const SplitMeta& split) {
    return split.bytes_per_token * static_cast<double>(split.tokens);
}

void print_share(const char* what, const SplitMeta& split, const TokenMeta& meta, bool own_files) {
    fmt::print("{:<12} {} bytes ({:.1f} %), {}\n", what, thousands(std::llround(bytes_of(split))),
               100 * bytes_of(split) / static_cast<double>(meta.bytes),
               own_files ? "files of its own" : "from the end of each text, no overlap");
}

void print_prepared(const Prepared& made, const DataArguments& arguments) {
    const TokenMeta& meta = made.meta;
    const double per_byte = made.unigram_entropy / std::numbers::ln2 / meta.val.bytes_per_token;
    const bool has_test = meta.test.tokens > 0;
    fmt::print("text         {}: {} bytes, sha256 {}\n",
               printable_line(fmt::format("{}", fmt::join(arguments.text, " + "))),
               thousands(meta.bytes), meta.text_sha256);
    if (arguments.text.size() > 1)
        fmt::print("separator    \"{}\" between two texts\n", printable_line(arguments.separator));
    fmt::print("tokenizer    {}, vocabulary {}, {:.4f} bytes per validation token\n",
               meta.tokenizer.kind(), meta.tokenizer.vocab(), meta.val.bytes_per_token);
    print_split("train.bin", meta.train);
    print_split("val.bin", meta.val);
    if (has_test) print_split("test.bin", meta.test);
    print_share("validation", meta.val, meta, !arguments.val.empty());
    if (has_test) print_share("test", meta.test, meta, !arguments.test.empty());
    fmt::print("validation begins\n{}\n", printable_sample(made.sample));
    fmt::print(
        "reference    knowing only how often each token occurs: loss {:.4f} nats per token, "
        "{:.4f} bits per byte\n",
        made.unigram_entropy, per_byte);
    const std::string out = printable_line(arguments.options.out);
    std::string files = has_test ? "test.bin, meta.json" : "meta.json";
    for (const auto& [name, content] : meta.tokenizer.files()) files += ", " + name;
    fmt::print("{:<12} {}: train.bin, val.bin, {}\n\n", made.unchanged ? "unchanged" : "wrote", out,
               files);
    fmt::print("data.vocab: {}\ndata.unigram_loss: {:.6f}\ndata.sha256: {}\ndata.path: {}\n",
               meta.tokenizer.vocab(), made.unigram_entropy, meta.text_sha256, out);
    fmt::print("next: plumb train {} --out runs/first\n",
               printable_line(shell_quoted("data.path=" + arguments.options.out)));
}

std::vector<SourceText> load_all(const std::vector<std::string>& names) {
    std::vector<SourceText> sources;
    for (const std::string& name : names) {
        sources.push_back(load_source(name));
        if (!sources.back().warning.empty())
            fmt::print(stderr, "warning: {}\n", printable(sources.back().warning));
    }
    return sources;
}

void prepare(const DataArguments& arguments) {
    PrepareOptions options = arguments.options;
    options.separator = unescape(arguments.separator);
    parse_tokenizer(options.tokenizer);  // before a corpus is fetched
    WorkProgress progress(stderr, Terminal::of(stderr));
    options.progress = [&](double fraction, std::string_view what) {
        progress.update(fraction, fmt::format("learning a vocabulary: {}", what));
    };
    const Prepared made = prepare_token_files(
        {load_all(arguments.text), load_all(arguments.val), load_all(arguments.test)}, options);
    progress.finish();
    for (const std::string& notice : made.notices)
        fmt::print(stderr, "note: {}\n", printable(notice));
    print_prepared(made, arguments);
}

}  // namespace

void add_data_command(CLI::App& app) {
    const auto arguments = std::make_shared<DataArguments>();
    CLI::App* data = app.add_subcommand("data", "turn text into tokens that a run trains on");
    data->require_subcommand(1);
    data->footer(kDataExamples);
    CLI::App* command = data->add_subcommand(
        "prepare", "make a folder of tokens, for data.path=DIR, from a corpus or text files");
    command->footer(kDataExamples);
    command
        ->add_option("text", arguments->text,
                     "corpora (austen, kjv) or files; each is split by itself, then the parts are "
                     "joined in this order")
        ->required();
    PrepareOptions& options = arguments->options;
    command->add_option("--out", options.out, "folder to write")->required()->type_name("DIR");
    CLI::Option* val =
        command->add_option("--val", arguments->val, "files that are the validation text")
            ->type_name("FILE");
    CLI::Option* test = command->add_option("--test", arguments->test, "files that are a test text")
                            ->type_name("FILE");
    command
        ->add_option("--val-fraction", options.val_fraction,
                     "share of each text, from its end, kept for validation")
        ->capture_default_str()
        ->excludes(val);
    command
        ->add_option("--test-fraction", options.test_fraction,
                     "share of each text, after that, kept for a final test (test.bin)")
        ->capture_default_str()
        ->excludes(test);
    command
        ->add_option("--separator", arguments->separator,
                     "put between two texts; \\n, \\t, \\0 are understood, '' is nothing")
        ->capture_default_str();
    command->add_option("--tokenizer", options.tokenizer, tokenizer_help())
        ->type_name("KIND")
        ->capture_default_str();
    command->add_flag("--raw", options.raw, "keep byte order marks and CR LF line ends");
    command->add_flag("--force", options.force, "replace token files with other content");
    command->callback([arguments] { prepare(*arguments); });
}

}  // namespace plumb
