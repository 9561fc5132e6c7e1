// The note package of Go's checksum database, as a judge of our notes and keys.
//
//	note generate NAME        prints a private and a public key
//	note sign PRIVATE...      signs the text on standard input
//	note open PUBLIC...       prints who signed the note on standard input, and its text
package main

import (
	"crypto/rand"
	"fmt"
	"io"
	"os"

	"golang.org/x/mod/sumdb/note"
)

func main() {
	if len(os.Args) < 3 {
		fail(fmt.Errorf("usage: note generate|sign|open ARGUMENT..."))
	}
	switch command, arguments := os.Args[1], os.Args[2:]; command {
	case "generate":
		private, public, err := note.GenerateKey(rand.Reader, arguments[0])
		fail(err)
		fmt.Printf("%s\n%s\n", private, public)
	case "sign":
		text, err := io.ReadAll(os.Stdin)
		fail(err)
		var signers []note.Signer
		for _, key := range arguments {
			signer, err := note.NewSigner(key)
			fail(err)
			signers = append(signers, signer)
		}
		signed, err := note.Sign(&note.Note{Text: string(text)}, signers...)
		fail(err)
		os.Stdout.Write(signed)
	case "open":
		text, err := io.ReadAll(os.Stdin)
		fail(err)
		var verifiers []note.Verifier
		for _, key := range arguments {
			verifier, err := note.NewVerifier(key)
			fail(err)
			verifiers = append(verifiers, verifier)
		}
		opened, err := note.Open(text, note.VerifierList(verifiers...))
		fail(err)
		for _, signature := range opened.Sigs {
			fmt.Printf("%s+%08x\n", signature.Name, signature.Hash)
		}
		fmt.Printf("\n%s", opened.Text)
	default:
		fail(fmt.Errorf("there is no command %q", command))
	}
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
