/* SPDX-License-Identifier: Apache-2.0 */
/* A journal's bytes as they stand in the file: its header, frames and checksums. Nothing
 * is read from beyond the file, and frames follow each other without a gap. What is
 * behind damage is searched as well. */
#include "fuzz.h"

#include <unistd.h>

#include "master/journal_repair.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct journal_reader *r;
    struct journal_record record;
    struct error err;
    if (size > FUZZ_INPUT_MAX)
        return 0;
    const char *path = fuzz_file_put("journal", data, size);
    if (journal_reader_open(path, 0, &r, &err) == 0) {
        uint64_t end = 0, sum = 0;
        while (journal_read(r, &record, &err) == 1) {
            FUZZ_CHECK(end == 0 || record.offset == end);
            FUZZ_CHECK(record.end <= size && record.size <= size);
            for (size_t i = 0; i < record.size; i++)
                sum += record.payload[i];
            end = record.end;
        }
        FUZZ_CHECK(journal_reader_end(r) <= size && sum <= 255 * size);
        FUZZ_CHECK(journal_reader_torn(r) == (journal_reader_end(r) < size));
        uint64_t bytes, records, torn = journal_reader_end(r);
        journal_reader_close(r);
        FUZZ_CHECK(journal_examine(path, torn, &bytes, &records, &err) == 0);
        FUZZ_CHECK(bytes == size - torn && records <= bytes / 12);
    }
    fuzz_file_remove("journal");
    return 0;
}
