// Files that are whole or absent: a crash, a full disk or a kill leaves the old file or the new
// one. Every failure is an IoError that names the path and the system's reason.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

namespace plumb {

// "cannot write runs/a/model.safetensors: No space left on device", from errno `error`.
[[noreturn]] void throw_io_error(std::string_view action, const std::filesystem::path& path,
                                 int error);

// The whole file as bytes. Only plain files: a pipe would wait for ever, a device never end.
std::string read_file(const std::filesystem::path& path);

// A file opened for writing. write, sync and close throw; the destructor closes without checking,
// so call close() where the data matter (some file systems report a full disk only there).
class OutputFile {
public:
    enum class Mode { create, append };  // create truncates

    OutputFile(std::filesystem::path path, Mode mode);
    OutputFile(OutputFile&& other) noexcept;
    OutputFile& operator=(OutputFile&&) = delete;
    ~OutputFile();

    void write(const void* data, std::size_t n_bytes);
    void write(std::string_view text) { write(text.data(), text.size()); }
    // Returns when the bytes are on the disk.
    void sync();
    void close();
    const std::filesystem::path& path() const { return path_; }

private:
    std::filesystem::path path_;
    int fd_ = -1;
};

// Collects writes in a temporary file beside `path`, whose name no other process gives; commit()
// syncs it, renames it to `path` and syncs the folder. Without commit() nothing of it remains.
class AtomicFile {
public:
    explicit AtomicFile(std::filesystem::path path);
    AtomicFile(const AtomicFile&) = delete;
    AtomicFile& operator=(const AtomicFile&) = delete;
    ~AtomicFile();

    void write(const void* data, std::size_t n_bytes) { file_.write(data, n_bytes); }
    void write(std::string_view text) { file_.write(text); }
    void commit();

private:
    std::filesystem::path path_;
    OutputFile file_;
    bool committed_ = false;
};

// An AtomicFile of one piece.
void write_file(const std::filesystem::path& path, std::string_view text);

// The name of the file that an AtomicFile of this name would become: "STATUS" for
// ".STATUS.tmp.HOST.PID", "" for any other name. What a kill leaves is known by it.
std::string temporary_of(const std::filesystem::path& path);

// SHA-256 of a file, read in pieces. Throws IoError.
std::string file_sha256(const std::filesystem::path& path);

// Makes renames, creations and removals in a folder last.
void sync_folder(const std::filesystem::path& folder);

// Creates the folder and its parents where missing.
void make_folder(const std::filesystem::path& folder);

// Renames a file or folder; the target may not be a folder with content.
void rename_path(const std::filesystem::path& from, const std::filesystem::path& to);

// Removes a file or a folder with its content, if there is one.
void remove_path(const std::filesystem::path& path);

}  // namespace plumb
