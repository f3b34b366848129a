#include "cli/data_command.h"

#include "core/text.h"
#include "train/prepare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <numbers>

namespace plumb {
namespace {

constexpr const char* kExamples = R"(Examples:
  plumb data prepare austen --out data/austen
  plumb data prepare kjv --out data/kjv-char --tokenizer char
  plumb data prepare notes/*.txt --out data/notes --val-fraction 0.05
)";

struct DataArguments {
    std::vector<std::string> inputs;
    PrepareOptions options;
};

// At most six lines; bytes a terminal should not get become dots.
std::string printable_sample(const std::string& text) {
    const bool utf8 = !invalid_utf8(text);
    std::string shown = "  | ";
    int n_lines = 1;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '\n') {
            if (++n_lines > 6) break;
            shown += "\n  | ";
        } else {
            shown += byte < 0x20 || byte == 0x7f || (byte >= 0x80 && !utf8) ? '.' : c;
        }
    }
    return shown;
}

void print_prepared(const Prepared& made, const DataArguments& arguments) {
    const TokenMeta& meta = made.meta;
    const auto val_bytes = meta.bytes_per_token * static_cast<double>(meta.val_tokens);
    const double per_byte = made.unigram_entropy / std::numbers::ln2 / meta.bytes_per_token;
    fmt::print("text         {}: {} bytes, sha256 {}\n", fmt::join(arguments.inputs, " + "),
               thousands(meta.bytes), meta.text_sha256);
    fmt::print("tokenizer    {}, vocabulary {}\n", meta.tokenizer.kind(), meta.tokenizer.vocab());
    fmt::print("train.bin    {} tokens, sha256 {}\n", thousands(meta.train_tokens),
               meta.train_sha256);
    fmt::print("val.bin      {} tokens, sha256 {}\n", thousands(meta.val_tokens), meta.val_sha256);
    fmt::print("split        the last {} bytes are validation ({:.1f} %), no overlap\n",
               thousands(std::llround(val_bytes)),
               100 * val_bytes / static_cast<double>(meta.bytes));
    fmt::print("validation begins\n{}\n", printable_sample(made.sample));
    fmt::print(
        "reference    knowing only how often each token occurs: loss {:.4f} nats per token, "
        "{:.4f} bits per byte\n",
        made.unigram_entropy, per_byte);
    const std::string& out = arguments.options.out;
    fmt::print("{} {}\n\n", made.unchanged ? "unchanged   " : "wrote       ", out);
    fmt::print("data.vocab: {}\ndata.unigram_loss: {:.6f}\ndata.sha256: {}\ndata.path: {}\n",
               meta.tokenizer.vocab(), made.unigram_entropy, meta.text_sha256, out);
    fmt::print("next: plumb train data.path={} --out runs/first\n", out);
}

void prepare(const DataArguments& arguments) {
    Tokenizer::check_kind(arguments.options.tokenizer);  // before a corpus is fetched
    std::vector<SourceText> sources;
    for (const std::string& input : arguments.inputs) {
        sources.push_back(load_source(input));
        if (!sources.back().warning.empty())
            fmt::print(stderr, "warning: {}\n", sources.back().warning);
    }
    print_prepared(prepare_token_files(sources, arguments.options), arguments);
}

}  // namespace

void add_data_command(CLI::App& app) {
    const auto arguments = std::make_shared<DataArguments>();
    CLI::App* data = app.add_subcommand("data", "Prepare text for training");
    data->require_subcommand(1);
    data->footer(kExamples);
    CLI::App* command = data->add_subcommand(
        "prepare", "Turn a corpus or text files into token files that data.path=DIR opens");
    command->footer(kExamples);
    command
        ->add_option("text", arguments->inputs,
                     "corpus (austen, kjv) or files, joined in this order")
        ->required();
    PrepareOptions& options = arguments->options;
    command->add_option("--out", options.out, "folder to write")->required();
    command
        ->add_option("--tokenizer", options.tokenizer,
                     "byte (any file) or char (UTF-8 code points)")
        ->capture_default_str();
    command
        ->add_option("--val-fraction", options.val_fraction,
                     "share of the text, from its end, kept for validation")
        ->capture_default_str();
    command->add_flag("--force", options.force, "replace token files with other content");
    command->callback([arguments] { prepare(*arguments); });
}

}  // namespace plumb
