#include "cli/command_doc.h"

#include "core/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>

namespace plumb {
namespace {

// CLI11's names of types as people read them; what a command named itself stays.
std::string value_name(const CLI::Option& option) {
    if (option.get_items_expected_max() == 0) return "";
    std::string type = option.get_type_name();
    type = type.substr(0, type.find_first_of(": "));
    if (type == "INT" || type == "UINT") return "N";
    if (type == "FLOAT") return "X";
    return type.empty() ? "VALUE" : type;
}

OptionDoc describe_option(const CLI::Option& option) {
    OptionDoc doc;
    doc.positional = option.nonpositional() ? false : option.get_positional();
    if (doc.positional) {
        doc.names = {option.get_name(true)};
    } else {
        for (const std::string& n : option.get_snames()) doc.names.push_back("-" + n);
        for (const std::string& n : option.get_lnames()) doc.names.push_back("--" + n);
    }
    doc.value = value_name(option);
    doc.text = option.get_description();
    doc.required = option.get_required();
    doc.many = option.get_items_expected_max() > 1;
    const std::string standard = option.get_default_str();
    if (!standard.empty() && doc.text.find("default") == std::string::npos)
        doc.text += fmt::format(" (default: {})", standard);
    return doc;
}

// Rows of "  term  text"; the text stands below its term where that is long or the page narrow.
std::string rows(const std::vector<std::pair<std::string, std::string>>& all, int width) {
    int column = 0;
    const int widest = std::min(width / 3, 30);
    for (const auto& [term, text] : all)
        if (display_width(term) <= widest) column = std::max(column, display_width(term));
    const int indent = 2 + (column > 0 ? column : 4) + 2;
    std::string out;
    for (const auto& [term, text] : all) {
        std::string line = "  " + term;
        if (display_width(term) > column) {
            out += line + "\n";
            line.clear();
        }
        for (const std::string& part : wrap(text, std::max(width - indent, 20))) {
            line += std::string(static_cast<std::size_t>(std::max(0, indent - display_width(line))),
                                ' ');
            out += line + part + "\n";
            line.clear();
        }
    }
    return out;
}

std::string option_term(const OptionDoc& o) {
    if (o.positional) return o.names.front() + (o.many ? " ..." : "");
    std::string term = fmt::format("{}", fmt::join(o.names, ", "));
    if (o.names.front().starts_with("--")) term = "    " + term;  // under the long names above
    return term + (o.value.empty() ? "" : " " + o.value);
}

std::string option_rows(const CommandDoc& doc, bool positional, int width) {
    std::vector<std::pair<std::string, std::string>> all;
    for (const OptionDoc& o : doc.options)
        if (o.positional == positional)
            all.emplace_back(option_term(o),
                             o.text + (o.required && !positional ? " (needed)" : ""));
    if (all.empty()) return "";
    return fmt::format("\n{}:\n{}", positional ? "Arguments" : "Options", rows(all, width));
}

std::string usage(const CommandDoc& doc, int width) {
    std::string words = doc.name;
    for (const OptionDoc& o : doc.options)
        if (o.positional) {
            const std::string name = o.names.front() + (o.many ? "..." : "");
            words += o.required ? " " + name : " [" + name + "]";
        }
    if (!doc.commands.empty()) words += " COMMAND";
    for (const OptionDoc& o : doc.options)
        if (!o.positional && o.required) words += fmt::format(" {} {}", o.names.back(), o.value);
    words += " [OPTIONS]";
    std::string out;
    for (const std::string& line : wrap(words, width - 7))
        out += (out.empty() ? "Usage: " : "       ") + line + "\n";
    return out;
}

// A command line longer than the page goes on, further in, after a backslash.
std::string command_lines(const std::string& line, int width) {
    if (display_width(line) <= width) return line + "\n";
    const std::vector<std::string> parts = wrap(line, width - 8);
    std::string out;
    for (std::size_t i = 0; i < parts.size(); ++i)
        out += (i == 0 ? "  " : "      ") + parts[i] + (i + 1 < parts.size() ? " \\\n" : "\n");
    return out;
}

// Lines of text are filled; commands, which are indented, and titles, which end in ':', keep
// theirs.
std::string footer_text(const std::string& footer, int width) {
    std::istringstream lines(footer);
    std::string out, paragraph, line;
    const auto end_paragraph = [&] {
        for (const std::string& part : wrap(paragraph, width))
            if (!paragraph.empty()) out += part + "\n";
        paragraph.clear();
    };
    while (std::getline(lines, line)) {
        if (line.starts_with("  ")) {
            end_paragraph();
            out += command_lines(line, width);
        } else if (line.ends_with(':') && line.find(' ') == std::string::npos) {
            end_paragraph();
            out += line + "\n";
        } else {
            paragraph += (paragraph.empty() ? "" : " ") + line;
        }
    }
    end_paragraph();
    return out.empty() ? "" : "\n" + out;
}

class Pages : public CLI::FormatterBase {
    std::string make_help(const CLI::App* app, std::string name,
                          CLI::AppFormatMode) const override {
        return help_page(describe(*app, name), Terminal::of(stdout).width);
    }
};

}  // namespace

CommandDoc describe(const CLI::App& app, const std::string& name) {
    CommandDoc doc{name, app.get_description(), app.get_footer(), {}, {}};
    for (const bool positional : {true, false})
        for (const CLI::Option* o : app.get_options()) {
            OptionDoc option = describe_option(*o);
            if (option.positional == positional) doc.options.push_back(std::move(option));
        }
    for (const CLI::App* command : app.get_subcommands({}))
        if (!command->get_group().empty())  // an empty group hides a command
            doc.commands.push_back(describe(*command, name + " " + command->get_name()));
    return doc;
}

std::string help_page(const CommandDoc& doc, int width) {
    std::string out;
    for (const std::string& line : wrap(doc.text, width)) out += line + "\n";
    out += "\n" + usage(doc, width) + option_rows(doc, true, width);
    if (!doc.commands.empty()) {
        std::vector<std::pair<std::string, std::string>> all;
        for (const CommandDoc& c : doc.commands)
            all.emplace_back(c.name.substr(c.name.rfind(' ') + 1), c.text);
        out += "\nSubcommands:\n" + rows(all, width);
    }
    return out + option_rows(doc, false, width) + footer_text(doc.footer, width);
}

void use_help_pages(CLI::App& app) { app.formatter(std::make_shared<Pages>()); }

}  // namespace plumb
