/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the store: how its datasets lie in the file. */
#ifndef ARCHWAY_MASTER_STORE_PLIST_H
#define ARCHWAY_MASTER_STORE_PLIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Creation properties of a dataset with checksums in chunks of these dims, gzip 1 where
 * `compress`; rank 0: one piece, without either. Negative on failure; caller closes. */
int64_t store_plist_dataset(int rank, const unsigned long long *chunk, bool compress);
/* UTF-8 text of any length. Negative on failure; caller closes. */
int64_t store_plist_text(void);
/* UTF-8 text in `size` bytes, filled up with zeros. Negative on failure; caller closes.
 */
int64_t store_plist_word(size_t size);

#endif
